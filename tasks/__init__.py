"""One file per task, installed as lstmlab.tasks.<name>; conf/task/<name>.yaml names its class."""
