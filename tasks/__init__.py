"""The tasks: one file per task, installed as lstmlab.tasks.<name>.

conf/task/<name>.yaml names the class of the file. What several tasks share lies in tasks/common/.
"""
