"""infrastructure/identity.yaml: passwords, the second factor, the client and its secret."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.systems.rendering import ROOT, Rendered, RenderError, render_file

NEEDED = {
    "Name": "shop",
    "CallbackUrls": "https://shop.example.com/callback",
    "ClientSecretName": "shop/cognito-client",
}


def identity(**parameters: str) -> Rendered:
    return render_file(ROOT / "infrastructure/identity.yaml", **(NEEDED | parameters))


def pool(**parameters: str) -> dict[str, Any]:
    return identity(**parameters).one("AWS::Cognito::UserPool")


def client(**parameters: str) -> dict[str, Any]:
    return identity(**parameters).one("AWS::Cognito::UserPoolClient")


def test_a_password_is_long_and_of_all_kinds() -> None:
    policy = pool()["Policies"]["PasswordPolicy"]
    assert int(policy["MinimumLength"]) >= 12
    assert all(policy[f"Require{kind}"] for kind in ("Lowercase", "Uppercase", "Numbers", "Symbols"))
    assert policy["TemporaryPasswordValidityDays"] <= 7


@pytest.mark.parametrize("mfa", ["OPTIONAL", "ON"])
def test_the_second_factor_is_an_app_and_no_text_message(mfa: str) -> None:
    own = pool(Mfa=mfa)
    assert (own["MfaConfiguration"], own["EnabledMfas"]) == (mfa, ["SOFTWARE_TOKEN_MFA"])


def test_without_a_second_factor_none_is_named() -> None:
    own = pool(Mfa="OFF")
    assert own["MfaConfiguration"] == "OFF"
    assert "EnabledMfas" not in own


def test_the_address_is_confirmed_and_is_the_way_back_in() -> None:
    own = pool()
    assert own["UserPoolName"] == "shop"
    assert (own["UsernameAttributes"], own["AutoVerifiedAttributes"]) == (["email"], ["email"])
    assert own["UsernameConfiguration"] == {"CaseSensitive": False}
    assert own["AccountRecoverySetting"]["RecoveryMechanisms"] == [{"Name": "verified_email", "Priority": 1}]


@pytest.mark.parametrize(("self_sign_up", "by_admins_only"), [("true", False), ("false", True)])
def test_people_make_their_own_account_where_they_may(self_sign_up: str, by_admins_only: bool) -> None:
    assert pool(SelfSignUp=self_sign_up)["AdminCreateUserConfig"] == {
        "AllowAdminCreateUserOnly": by_admins_only
    }


@pytest.mark.parametrize(("protection", "state"), [("true", "ACTIVE"), ("false", "INACTIVE")])
def test_the_users_do_not_go_with_the_stack(protection: str, state: str) -> None:
    rendered = identity(DeletionProtection=protection)
    resource = rendered.resources["UserPool"]
    assert (resource["DeletionPolicy"], resource["UpdateReplacePolicy"]) == ("RetainExceptOnCreate", "Retain")
    assert resource["Properties"]["DeletionProtection"] == state


def test_the_client_has_a_secret_and_gets_a_code_not_a_token() -> None:
    own = client()
    assert own["UserPoolId"] == "<UserPool>"
    assert own["GenerateSecret"] is True
    # With openid there is an id token; without COGNITO the pool's own users could not log in.
    assert (own["AllowedOAuthScopes"], own["SupportedIdentityProviders"]) == (
        ["openid", "email", "profile"],
        ["COGNITO"],
    )
    assert (own["AllowedOAuthFlowsUserPoolClient"], own["AllowedOAuthFlows"]) == (True, ["code"])
    assert own["CallbackURLs"] == ["https://shop.example.com/callback"]
    assert "LogoutURLs" not in own
    assert client(LogoutUrls="https://shop.example.com/")["LogoutURLs"] == ["https://shop.example.com/"]


def test_nobody_learns_who_has_an_account_and_no_password_goes_over_the_wire() -> None:
    own = client()
    assert own["PreventUserExistenceErrors"] == "ENABLED"
    assert not [flow for flow in own["ExplicitAuthFlows"] if "PASSWORD" in flow]
    assert own["EnableTokenRevocation"] is True


def test_a_token_is_good_for_an_hour_and_a_login_for_a_month() -> None:
    """Cognito counts a refresh token in days and the others in hours, unless it is told."""
    own = client()
    validity = {
        kind: (own[f"{kind}Validity"], own["TokenValidityUnits"][kind])
        for kind in ("AccessToken", "IdToken", "RefreshToken")
    }
    assert validity == {
        "AccessToken": (60, "minutes"),
        "IdToken": (60, "minutes"),
        "RefreshToken": (30, "days"),
    }


@pytest.mark.parametrize(
    "url",
    ["http://shop.example.com/callback", "http://localhost.example.com/", "https://a.example.com/#x", ""],
)
def test_a_code_goes_nowhere_in_the_clear(url: str) -> None:
    with pytest.raises(RenderError, match="https addresses"):
        identity(CallbackUrls=url)


def test_the_secret_of_the_client_is_in_secrets_manager() -> None:
    rendered = identity()
    own = rendered.one("AWS::SecretsManager::Secret")
    assert own["Name"] == "shop/cognito-client"
    assert json.loads(own["SecretString"]) == {
        "client_id": "<Client>",
        "client_secret": "<Client.ClientSecret>",
    }
    assert rendered.outputs["ClientSecretArn"] == "<ClientSecret>"
    # An output of a stack can be read by whoever may describe it.
    assert not [value for value in rendered.outputs.values() if "Client.ClientSecret" in value]


def test_the_secret_has_the_key_that_is_given() -> None:
    key = "arn:aws:kms:eu-west-1:111122223333:key/1a2b"
    assert identity(KeyArn=key)["ClientSecret"]["KmsKeyId"] == key
    assert "KmsKeyId" not in identity()["ClientSecret"]


def test_the_login_pages_are_there_where_they_have_an_address() -> None:
    assert identity().of("AWS::Cognito::UserPoolDomain") == {}
    domain = identity(DomainPrefix="acme-shop").one("AWS::Cognito::UserPoolDomain")
    assert domain == {"UserPoolId": "<UserPool>", "Domain": "acme-shop"}
