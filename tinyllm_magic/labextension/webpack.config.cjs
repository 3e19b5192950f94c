// The default numbers of modules depend on the folder in which they are built; names do not.
module.exports = { optimization: { moduleIds: 'named' } };
