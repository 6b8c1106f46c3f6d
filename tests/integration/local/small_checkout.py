"""A checkout that builds and deploys in a moment: one queue, one function."""

from pathlib import Path

_TEMPLATE = """\
AWSTemplateFormatVersion: "2010-09-09"
Transform: AWS::Serverless-2016-10-31
Parameters:
  PythonRuntime: {Type: String}
  Architecture: {Type: String}
Resources:
  Queue:
    Type: AWS::SQS::Queue
    Properties: {QueueName: {{queue}}}
  Echo:
    Type: AWS::Serverless::Function
    Properties:
      FunctionName: echo
      Runtime: !Ref PythonRuntime
      Architectures: [!Ref Architecture]
      Handler: app.lambda_handler
      CodeUri: functions/echo
"""
_FUNCTION = "def lambda_handler(event, context):\n    return event\n"


def make(root: Path, queue: str = "first") -> Path:
    """Write it; returns `root`."""
    (root / "statemachines").mkdir(parents=True)
    (root / "functions" / "echo").mkdir(parents=True)
    (root / "functions" / "echo" / "app.py").write_text(_FUNCTION)
    rewrite(root, queue)
    return root


def rewrite(root: Path, queue: str) -> None:
    """Change the template: the queue gets another name."""
    (root / "template.yaml").write_text(_TEMPLATE.replace("{{queue}}", queue))


def spoil(root: Path) -> None:
    """A template that cannot be built."""
    (root / "template.yaml").write_text("Resources: {Queue: {Type: AWS::Serverless::Nothing}}\n")
