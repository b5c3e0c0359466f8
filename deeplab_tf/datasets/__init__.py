"""Commands that write data sets as records: `deeplab-build-folder` and others."""
