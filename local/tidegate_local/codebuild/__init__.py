"""CodeBuild that really runs builds: the source, the buildspec's commands, logs, records and events.

MiniStack keeps projects and answers the API; a build of its own succeeds at once unless AWS's agent image is at
hand. Here the commands run as processes of this machine, without a container of their own.

buildspec      what a buildspec of version 0.2 asks for
orders         a project with what StartBuild overrides
records        a build as BatchGetBuilds shows it
announcements  the events CodeBuild sends
sources        DOWNLOAD_SOURCE: a clone of a CodeCommit repository
variables      what the commands find in their environment
identity       the credentials of the project's service role
console        the lines of a build, sent to CloudWatch Logs
commands       one command after the other, in processes that end with the build
run            a build from SUBMITTED to COMPLETED
api            StartBuild, StopBuild and their like, in the place of MiniStack's
projects       properties of AWS::CodeBuild::Project that MiniStack drops
tools          `aws` and `docker` as a build finds them
"""
