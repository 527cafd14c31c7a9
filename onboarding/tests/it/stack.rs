//! The binary behind HTTP: as a function of ministack behind an HTTP API with Cognito's tokens, and under cargo-lambda's
//! Runtime API.

use std::path::{Path, PathBuf};
use std::process::Command;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::servers::{Process, REGION, Server, start, tool};
use crate::world::World;

/// The binary under test: that of this build, or the one that is to be deployed. Not `ONBOARDING_…`: the function refuses
/// variables of this beginning that it does not know, and inherits this one.
pub fn binary() -> PathBuf {
    std::env::var_os("BINARY_UNDER_TEST")
        .map_or_else(|| PathBuf::from(env!("CARGO_BIN_EXE_onboarding")), PathBuf::from)
}

/// An HTTP answer.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub text: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| &**value)
    }
}

/// Sends a request; every status is an answer.
pub fn http(method: &str, url: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
    let mut request = ureq::http::Request::builder().method(method).uri(url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(body.to_owned()).expect("a request");
    let mut answer = agent.run(request).unwrap_or_else(|error| panic!("{method} {url}: {error}"));
    let headers = answer.headers().iter().map(|(name, value)| {
        (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
    });
    let headers = headers.collect();
    let status = answer.status().as_u16();
    Answer { status, headers, text: answer.body_mut().read_to_string().expect("a text") }
}

/// A call of AWS that needs no client: ministack does not check signatures.
fn aws(world: &World, service: &str, method: &str, path: &str, target: Option<&str>, body: &Value) -> Value {
    let credential = format!("{}/20260101/{REGION}/{service}/aws4_request", world.account);
    let signed = format!("AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders=host, Signature=0");
    let mut headers = vec![("authorization", &*signed)];
    if let Some(target) = target {
        headers.extend([("x-amz-target", target), ("content-type", "application/x-amz-json-1.1")]);
    } else {
        headers.push(("content-type", "application/json"));
    }
    let answer = http(method, &format!("{}{path}", world.endpoint), &headers, &body.to_string());
    assert!(answer.status < 300, "{method} {path} {target:?}: {answer:?}");
    serde_json::from_str(&answer.text).unwrap_or(Value::Null)
}

/// Zips the binary as Lambda wants it.
pub fn zip(folder: &Path) -> PathBuf {
    let to = folder.join("onboarding.zip");
    let script = "
import sys, zipfile
with zipfile.ZipFile(sys.argv[2], 'w', zipfile.ZIP_DEFLATED) as to:
    info = zipfile.ZipInfo('bootstrap')
    info.external_attr = 0o755 << 16
    info.compress_type = zipfile.ZIP_DEFLATED
    to.writestr(info, open(sys.argv[1], 'rb').read())
";
    let status = Command::new(tool("python")).args(["-c", script]).arg(binary()).arg(&to).status().unwrap();
    assert!(status.success());
    to
}

/// The function, its HTTP API and its user pool in ministack.
#[derive(Debug)]
pub struct Deployed {
    /// Ends in `/`, without the stage.
    pub api_url: String,
    pub token_url: String,
    pub client_id: String,
    pub refresh_token: String,
}

impl Deployed {
    /// Deploys into a world.
    pub fn into(world: &World, server: &Server, more: &[(&str, &str)]) -> Deployed {
        let folder = tempfile::tempdir().unwrap();
        let zip = STANDARD.encode(std::fs::read(zip(folder.path())).unwrap());
        let more = more.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let variables: serde_json::Map<_, _> =
            world.variables().into_iter().chain(more).map(|(name, value)| (name, json!(value))).collect();
        let arn = aws(world, "lambda", "POST", "/2015-03-31/functions", None, &json!({
            "FunctionName": "onboarding", "Runtime": "provided.al2023", "Handler": "bootstrap", "Timeout": 30,
            "Role": format!("arn:aws:iam::{}:role/onboarding", world.account), "MemorySize": 256,
            "Code": {"ZipFile": zip}, "Environment": {"Variables": variables}, "TracingConfig": {"Mode": "Active"},
        }))["FunctionArn"].as_str().expect("an ARN").to_owned();

        let cognito = |operation: &str, body: Value| {
            let target = format!("AWSCognitoIdentityProviderService.{operation}");
            aws(world, "cognito-idp", "POST", "/", Some(&target), &body)
        };
        let pool = cognito("CreateUserPool", json!({"PoolName": "p"}))["UserPool"]["Id"]
            .as_str()
            .unwrap()
            .to_owned();
        let client = cognito(
            "CreateUserPoolClient",
            json!({
                "UserPoolId": pool, "ClientName": "c",
                "ExplicitAuthFlows": ["ALLOW_ADMIN_USER_PASSWORD_AUTH", "ALLOW_REFRESH_TOKEN_AUTH"],
            }),
        );
        let client = client["UserPoolClient"]["ClientId"].as_str().unwrap().to_owned();
        cognito("AdminCreateUser", json!({"UserPoolId": pool, "Username": "u", "MessageAction": "SUPPRESS"}));
        let password =
            json!({"UserPoolId": pool, "Username": "u", "Password": "Passw0rd!", "Permanent": true});
        cognito("AdminSetUserPassword", password);
        let tokens = cognito(
            "AdminInitiateAuth",
            json!({
                "UserPoolId": pool, "ClientId": client, "AuthFlow": "ADMIN_USER_PASSWORD_AUTH",
                "AuthParameters": {"USERNAME": "u", "PASSWORD": "Passw0rd!"},
            }),
        );
        let refresh_token =
            tokens["AuthenticationResult"]["RefreshToken"].as_str().expect("a token").to_owned();

        let gateway = |path: &str, body: Value| aws(world, "apigateway", "POST", path, None, &body);
        let api = gateway(
            "/v2/apis",
            json!({
                "name": "onboarding", "protocolType": "HTTP",
                // Then the gateway answers preflights itself, as AWS's does.
                "corsConfiguration": {
                    "allowOrigins": ["*"], "allowMethods": ["*"], "allowHeaders": ["Authorization", "Content-Type"],
                },
            }),
        );
        let api = api["apiId"].as_str().expect("an API").to_owned();
        let issuer = format!("https://cognito-idp.{REGION}.amazonaws.com/{pool}");
        let authorizer = gateway(
            &format!("/v2/apis/{api}/authorizers"),
            json!({
                "name": "jwt", "authorizerType": "JWT", "identitySource": ["$request.header.Authorization"],
                "jwtConfiguration": {"issuer": issuer, "audience": [client]},
            }),
        );
        let integration = gateway(
            &format!("/v2/apis/{api}/integrations"),
            json!({
                "integrationType": "AWS_PROXY", "integrationUri": arn, "payloadFormatVersion": "2.0",
            }),
        );
        let target = format!("integrations/{}", integration["integrationId"].as_str().unwrap());
        for method in ["POST", "GET", "PUT", "DELETE"] {
            gateway(
                &format!("/v2/apis/{api}/routes"),
                json!({
                    "routeKey": format!("{method} /onboard/{{id}}"), "target": target,
                    "authorizationType": "JWT", "authorizerId": authorizer["authorizerId"],
                }),
            );
        }
        gateway(&format!("/v2/apis/{api}/stages"), json!({"stageName": "api", "autoDeploy": true}));
        Deployed {
            api_url: format!("{}/_aws/execute-api/{api}/", server.endpoint()),
            token_url: format!("{}/oauth2/token", server.endpoint()),
            client_id: client,
            refresh_token,
        }
    }

    /// An access token, as the kit's wizard gets it.
    pub fn token(&self) -> String {
        let form = format!(
            "grant_type=refresh_token&client_id={}&refresh_token={}",
            self.client_id, self.refresh_token
        );
        let answer =
            http("POST", &self.token_url, &[("content-type", "application/x-www-form-urlencoded")], &form);
        answer.json()["access_token"].as_str().unwrap_or_else(|| panic!("{answer:?}")).to_owned()
    }

    pub fn onboard(&self, serial: &str) -> String {
        format!("{}api/onboard/{serial}", self.api_url)
    }
}

/// The binary under cargo-lambda's Runtime API.
#[derive(Debug)]
pub struct Watched {
    /// Where requests are taken.
    pub url: String,
    /// What the binary prints.
    pub function: Process,
    _apis: Process,
}

impl Watched {
    /// Starts both.
    pub fn new(world: &World, more: &[(&str, &str)]) -> Watched {
        let (url, apis) = start("cargo-lambda", |port, command| {
            command.current_dir(env!("CARGO_MANIFEST_DIR")).arg(tool("cargo-lambda"));
            command.args(["lambda", "watch", "--only-lambda-apis", "--disable-cors", "-A", "127.0.0.1"]);
            command.args(["-P", &port.to_string()]);
            ""
        });
        let function = Process::run("onboarding", |command| {
            command
                .arg(binary())
                .env("AWS_LAMBDA_RUNTIME_API", format!("{url}/.rt"))
                .env("AWS_LAMBDA_FUNCTION_NAME", "_")
                .env("AWS_LAMBDA_FUNCTION_VERSION", "1")
                .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256")
                .env("AWS_REGION", REGION)
                .env("AWS_ACCESS_KEY_ID", &world.account)
                .env("AWS_SECRET_ACCESS_KEY", "test")
                .env("AWS_ENDPOINT_URL", &world.endpoint)
                .envs(world.variables())
                .envs(more.iter().copied());
        });
        Watched { url, function, _apis: apis }
    }

    /// Invokes it with an event of any kind.
    pub fn invoke(&self, event: &Value) -> Value {
        let url = format!("{}/2015-03-31/functions/_/invocations", self.url);
        let answer = http("POST", &url, &[], &event.to_string());
        answer.json()
    }
}
