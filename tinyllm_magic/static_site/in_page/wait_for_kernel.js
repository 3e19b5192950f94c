// An extension of the application, written as the module federation of its bundler expects one: it needs no build.
//
// A reader may press "run" before the kernel is there. JupyterLab shows a notebook's cells before it has read from the notebook
// which kernel is wanted (it keeps a checkpoint first): whoever runs a cell meanwhile is asked to select one. Here the cells wait.
(() => {
  const plugin = {
    id: "tinyllm-magic-site:start",
    autoStart: true,
    activate: (app) => {
      app.docRegistry.addWidgetExtension("Notebook", {
        createNew: (_panel, context) => startOnce(context.sessionContext, app.serviceManager.kernelspecs),
      });
    },
  };

  // Whoever asks for the kernel while it is being started gets the same one.
  function startOnce(session, specs) {
    const start = session.startKernel.bind(session);
    let starting = null;
    session.startKernel = () => {
      starting ??= known(specs, session)
        .then(() => (session.session?.kernel ? false : start()))
        .finally(() => {
          starting = null;
        });
      return starting;
    };
  }

  // Until the notebook has told its kind of kernel, and the application knows that kind.
  async function known(specs, session) {
    await specs.ready;
    await new Promise((done) => {
      const look = () => {
        if (!specs.specs?.kernelspecs[session.kernelPreference.name]) return;
        specs.specsChanged.disconnect(look);
        session.kernelPreferenceChanged.disconnect(look);
        done();
      };
      specs.specsChanged.connect(look);
      session.kernelPreferenceChanged.connect(look);
      look();
    });
  }

  window._JUPYTERLAB ??= {};
  window._JUPYTERLAB["tinyllm-magic-site"] = {
    init: () => {},
    get: async () => () => ({ __esModule: true, default: plugin }),
  };
})();
