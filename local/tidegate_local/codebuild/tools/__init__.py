"""`aws` and `docker` as a build of the embedded CodeBuild finds them on its PATH.

aws         the AWS CLI's way of calling any operation; the CLI itself does not fit the pinned botocore
docker      build, tag, push, login and inspect where there is no Docker engine
dockerfile  what a Dockerfile says, and what is wrong with it
contexts    the files that docker would send to the engine
"""
