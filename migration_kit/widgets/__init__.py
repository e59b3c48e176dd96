"""Controls for JupyterLab; the submodules are imported one by one, so that what needs no control stays light."""
