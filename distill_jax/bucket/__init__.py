"""Work folders, data and programs in a bucket: a folder on this machine, and its likeness at gs://, s3:// or memory://."""
