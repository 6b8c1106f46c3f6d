"""infrastructure/frontend.yaml: the application, its branch, its domain, and how it is built."""

from __future__ import annotations

import yaml

from tests.systems.rendering import ROOT, Rendered, render_file

NEEDED = {"Name": "shop", "Repository": "https://github.com/acme/shop"}


def frontend(**parameters: str) -> Rendered:
    return render_file(ROOT / "infrastructure/frontend.yaml", **(NEEDED | parameters))


def test_the_token_for_the_repository_comes_from_a_secret() -> None:
    own = frontend(AccessTokenSecretName="shop/github")["App"]
    assert own["Repository"] == "https://github.com/acme/shop"
    assert own["AccessToken"] == "{{resolve:secretsmanager:shop/github:SecretString:token}}"


def test_without_a_token_a_person_connects_the_repository() -> None:
    """Amplify refuses a repository that it has no token for."""
    assert not {"Repository", "AccessToken"} & frontend()["App"].keys()


def test_it_is_built_as_next_js_is() -> None:
    spec = yaml.safe_load(frontend()["App"]["BuildSpec"])["frontend"]
    assert spec["phases"]["preBuild"]["commands"] == ["npm ci"]
    assert spec["phases"]["build"]["commands"] == ["npm run build"]
    assert spec["artifacts"] == {"baseDirectory": ".next", "files": ["**/*"]}
    assert (frontend()["App"]["Name"], frontend()["App"]["Platform"]) == ("shop", "WEB_COMPUTE")


def test_an_address_that_no_file_has_is_the_pages_own() -> None:
    assert frontend()["App"]["CustomRules"] == [
        {"Source": "/<*>", "Target": "/index.html", "Status": "404-200"}
    ]


def test_variables_are_those_with_a_name() -> None:
    values = {f"VariableValue{n}": f"value {n}" for n in range(1, 6)}
    for named in ((), (1, 2, 5), (3, 4), (1, 2, 3, 4, 5)):
        names = {f"VariableName{n}": f"NEXT_PUBLIC_{n}" for n in named}
        assert frontend(**values, **names)["App"]["EnvironmentVariables"] == [
            {"Name": f"NEXT_PUBLIC_{n}", "Value": f"value {n}"} for n in named
        ]


def test_a_push_to_the_branch_is_built() -> None:
    own = frontend(BranchName="release", Stage="BETA")["Branch"]
    assert own["AppId"] == "<App.AppId>"
    assert (own["BranchName"], own["Stage"], own["EnableAutoBuild"]) == ("release", "BETA", True)


def test_the_branch_answers_under_the_domain() -> None:
    own = frontend(DomainName="example.com").one("AWS::Amplify::Domain")
    assert (own["AppId"], own["DomainName"]) == ("<App.AppId>", "example.com")
    assert own["SubDomainSettings"] == [{"Prefix": "app", "BranchName": "<Branch.BranchName>"}]
    assert frontend().of("AWS::Amplify::Domain") == {}
