"""Images and files as parts of messages: read, described by their digest, and made into what a model takes."""
