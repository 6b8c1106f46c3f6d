"""CodeCommit: bare git repositories on disk behind the part of its API that Tidegate and its users call.

MiniStack has none. Shapes and error names are those of botocore's service model `codecommit`.

git           the real one, without anybody's settings
repositories  where they are, how they are made and found
reading       branches, commits, differences, folders and files of one of them
pushes        what a push changed, as events
hook          tells the server of a push; runs as git's post-receive
api           the operations, sewn into MiniStack's router
"""
