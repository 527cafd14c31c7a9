//! The quickstart's end-to-end test and what belongs to it: newman, mosquitto, browsers, both payloads, fuzzing.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use iotlake_onboarding::iot::Iot;
use iotlake_onboarding::registry::Registry;
use serde_json::{Value, json};

use crate::servers::{Faults, Kind, Process, Server, root, start};
use crate::stack::{Answer, Deployed, Watched, http};
use crate::world::{Inventory, World};

/// A program of the system or of npm; the message says where it comes from.
fn program(name: &str, hint: &str) -> PathBuf {
    let places = ["/usr/bin", "/usr/sbin", "/usr/local/bin", "/usr/local/sbin", "/opt/homebrew/bin"];
    let found = places.iter().map(|place| Path::new(place).join(name)).find(|path| path.exists());
    found.unwrap_or_else(|| panic!("{name} is not installed: {hint}"))
}

fn newman(folder: &Path, part: &str) {
    let api = root().join("onboarding/tests/api");
    let newman = api.join("node_modules/.bin/newman");
    assert!(newman.exists(), "newman is not there: run `make venv`");
    let environment = folder.join("environment.json");
    let output = Command::new(newman)
        .args(["run", "collection.json", "--folder", part, "--color", "off", "-e"])
        .arg(&environment)
        .arg("--export-environment")
        .arg(&environment)
        .current_dir(api)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    println!("{text}");
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
}

fn variable(environment: &Value, name: &str) -> String {
    let values = environment["values"].as_array().unwrap();
    let found = values.iter().find(|value| value["key"] == name);
    found.and_then(|value| value["value"].as_str()).unwrap_or_else(|| panic!("no {name}")).to_owned()
}

/// Publishes as a device does.
fn publish(
    folder: &Path,
    port: u16,
    authority: &Path,
    client: &str,
    topic: &str,
    certificate: bool,
) -> Output {
    let mut command = Command::new(program("mosquitto_pub", "make debian"));
    command.args(["-h", "localhost", "-p", &port.to_string(), "-i", client, "-q", "1", "-t", topic]);
    command.args(["-m", r#"{"device":{"deviceId":"x"}}"#, "--cafile"]).arg(authority);
    if certificate {
        command.arg("--cert").arg(folder.join("device.pem")).arg("--key").arg(folder.join("device.key"));
    }
    command.output().unwrap()
}

/// A certificate for a broker on this machine, and the key.
fn server_certificate(folder: &Path) -> PathBuf {
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
    let parameters = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let certificate = parameters.self_signed(&key).unwrap();
    fs::write(folder.join("server.key"), key.serialize_pem()).unwrap();
    fs::write(folder.join("server.pem"), certificate.pem()).unwrap();
    folder.join("server.pem")
}

/// mosquitto that lets in whom IoT Core's authority has signed, and hears what is published.
fn mosquitto(folder: &Path, authority: &Path) -> (u16, Process) {
    let mosquitto = program("mosquitto", "make debian");
    let server = server_certificate(folder);
    let (endpoint, process) = start("mosquitto", |port, command| {
        let settings = format!(
            "listener {port} 127.0.0.1\ncafile {}\ncertfile {}\nkeyfile {}\nrequire_certificate true\n\
             use_identity_as_username true\nallow_anonymous true\nlog_type all\nlog_dest stderr\n",
            authority.display(),
            server.display(),
            folder.join("server.key").display(),
        );
        let path = folder.join("mosquitto.conf");
        fs::write(&path, settings).unwrap();
        // It gives up root for its own user, who has to read the files.
        command.arg(&mosquitto).arg("-c").arg(path);
        ""
    });
    let port = endpoint.rsplit(':').next().unwrap().parse().unwrap();
    (port, process)
}

/// Lets mosquitto's own user read what it is configured with.
#[cfg(unix)]
fn readable(folder: &Path) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_quickstarts_end_to_end_test() {
    let (server, broker) = Server::with_broker();
    let world = World::of(&server, "123456789012").await;
    let deployed = Deployed::into(&world, &server, &[]);
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    readable(folder);
    let values = [
        ("apiUrl", &deployed.api_url),
        ("tokenUrl", &deployed.token_url),
        ("clientId", &deployed.client_id),
        ("refreshToken", &deployed.refresh_token),
        ("serial", &"DEV_00000001".to_owned()),
    ];
    let values: Vec<_> = values.iter().map(|(key, value)| json!({"key": key, "value": value})).collect();
    let environment = json!({"name": "test", "values": values});
    fs::write(folder.join("environment.json"), environment.to_string()).unwrap();

    newman(folder, "onboard");
    let environment: Value =
        serde_json::from_str(&fs::read_to_string(folder.join("environment.json")).unwrap()).unwrap();
    fs::write(folder.join("device.pem"), variable(&environment, "certificatePem")).unwrap();
    fs::write(folder.join("device.key"), variable(&environment, "privateKey")).unwrap();
    let authority = folder.join("iot-ca.pem");
    let ca = http("GET", &format!("{}/_ministack/iot/ca.pem", server.endpoint()), &[], "");
    fs::write(&authority, ca.text).unwrap();

    // A real mosquitto: whom the authority signed.
    let (port, mut mosquitto) = mosquitto(folder, &authority);
    let trusted = folder.join("server.pem");
    let sent = publish(folder, port, &trusted, "DEV_00000001", "data/test", true);
    assert!(sent.status.success(), "{sent:?}\n{}", mosquitto.log());
    mosquitto.prints("'data/test'");
    let refused = publish(folder, port, &trusted, "DEV_00000001", "data/test", false);
    assert!(!refused.status.success(), "a client without a certificate is let in");
    // ministack's broker: whom IoT Core's registry has as active.
    let sent = publish(folder, broker, &authority, "DEV_00000001", "data/test", true);
    assert!(sent.status.success(), "{sent:?}\n{}", server.log());

    newman(folder, "remove");
    let refused = publish(folder, broker, &authority, "DEV_00000001", "data/test", true);
    assert!(!refused.status.success(), "a deleted device is let in");
    // mosquitto knows the authority and no registry: it has to be told, by a revocation list, who is gone.
    let known = publish(folder, port, &trusted, "DEV_00000001", "data/test", true);
    println!("mosquitto and a deleted device's certificate: {}", known.status);
    Inventory::of(&world.iot().await, &world.registry().await).await.assert_empty();
    assert!(!server.log().contains("PRIVATE KEY"), "the function's log is in the server's");
}

fn has_cors(answer: &Answer) {
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"), "{answer:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_is_served() {
    // A preflight has no token and so no account: it finds APIs of the first one only.
    let server = &Server::start(Kind::Ministack);
    let world = World::of(server, "123456789012").await;
    let deployed =
        Deployed::into(&world, server, &[("MAIN_TOPIC", "plant/#"), ("ONBOARDING_TOPIC_SCOPE", "thing")]);
    let url = deployed.onboard("wizard");
    let preflight = http(
        "OPTIONS",
        &url,
        &[
            ("origin", "https://wizard.example"),
            ("access-control-request-method", "POST"),
            ("access-control-request-headers", "authorization"),
        ],
        "",
    );
    assert_eq!(preflight.status, 204);
    has_cors(&preflight);
    assert!(preflight.header("access-control-allow-headers").unwrap().contains("Authorization"));
    let token = deployed.token();
    let bearer = format!("Bearer {token}");
    for (method, status) in
        [("POST", 200), ("GET", 200), ("PUT", 405), ("DELETE", 200), ("DELETE", 200), ("GET", 404)]
    {
        for authorization in [&*token, &*bearer] {
            let answer = http(method, &url, &[("authorization", authorization)], "");
            assert_eq!(answer.status, status, "{method}: {answer:?}");
            has_cors(&answer);
            let host = answer.json()["mqttEndpoint"].as_str().unwrap().to_owned();
            assert!(!host.contains([':', '/']), "{host}");
        }
    }
    let refused = http("GET", &url, &[], "");
    assert_eq!(refused.status, 401, "the authorizer, not the service, refuses this");
    let policy = aws_sdk_iot::Client::new(&world.config().await);
    let policy = policy.get_policy().policy_name("iotlake-device-test").send().await.unwrap();
    let document = policy.policy_document().unwrap();
    assert!(document.contains(":topic/plant/${iot:Connection.Thing.ThingName}/*"), "{document}");
}

#[tokio::test(flavor = "multi_thread")]
async fn both_payloads_and_the_modes() {
    let world = World::new(Server::shared(Kind::Ministack)).await;
    let watched = Watched::new(&world, &[]);
    // 2.0, through HTTP.
    let made = http("POST", &format!("{}/onboard/DEV_1", watched.url), &[], "");
    assert_eq!(made.status, 200, "{made:?}\n{}", watched.function.log());
    has_cors(&made);
    let preflight =
        http("OPTIONS", &format!("{}/onboard/DEV_1", watched.url), &[("origin", "https://x.example")], "");
    assert_eq!(preflight.status, 204);
    has_cors(&preflight);
    assert!(preflight.header("access-control-allow-headers").unwrap().contains("Authorization"));
    // 1.0, as the quickstart's API sends it.
    let event = |method: &str, id: &str, body: Value| {
        let path = format!("/onboard/{id}");
        json!({
            "version": "1.0", "resource": "/onboard/{id}", "path": format!("/api{path}"), "httpMethod": method,
            "headers": {"Authorization": "secret-token", "Host": "x.execute-api.eu-west-1.amazonaws.com"},
            "multiValueHeaders": {"Authorization": ["secret-token"]}, "queryStringParameters": null,
            "pathParameters": {"id": id}, "stageVariables": null, "body": body, "isBase64Encoded": false,
            "requestContext": {"stage": "api", "httpMethod": method, "path": format!("/api{path}"), "requestId": "r"},
        })
    };
    let answer = watched.invoke(&event("GET", "DEV_1", Value::Null));
    assert_eq!(answer["statusCode"], 200, "{answer}");
    let same: Value = serde_json::from_str(answer["body"].as_str().unwrap()).unwrap();
    assert_eq!(same, made.json());
    let answer = watched.invoke(&event("POST", "DEV_2", json!(r#"{"csr":"x"}"#)));
    assert_eq!(answer["statusCode"], 400, "{answer}");
    let answer = watched.invoke(&event("DELETE", "DEV_1", Value::Null));
    assert_eq!(answer["statusCode"], 200, "{answer}");

    let report = watched.invoke(&json!({"reconcile": {}}));
    assert_eq!((&report["complete"], &report["devices"]), (&json!(true), &json!(0)), "{report}");
    let report = watched.invoke(&json!({"import": {"apply": true}}));
    assert_eq!((&report["complete"], &report["applied"]), (&json!(true), &json!(true)), "{report}");
    for wrong in [json!({}), json!({"reconcile": {"repiar": true}})] {
        let report = watched.invoke(&wrong);
        assert!(report["errorMessage"].is_string(), "{report}");
    }
    let log = watched.function.log();
    assert!(!log.contains("PRIVATE KEY") && !log.contains("secret-token"), "{log}");
    for line in log.lines() {
        let line: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert!(line["requestId"].is_string(), "{line}");
    }
}

/// Lets a proxy read its models of AWS, which it does at its first request and may take longer than the service waits.
async fn awake(world: &World, faults: &Faults) {
    let through = world.through(faults.endpoint());
    let deadline = Instant::now() + Duration::from_secs(90);
    while through.registry().await.get("nobody").await.is_err()
        || through.iot().await.endpoint().await.is_err()
    {
        assert!(Instant::now() < deadline, "the proxy does not answer");
    }
}

/// What AWS refuses reaches the client as what it is.
#[tokio::test(flavor = "multi_thread")]
async fn failures_have_their_status_and_say_when_to_come_back() {
    let server = Server::shared(Kind::Ministack);
    let world = World::new(server).await;
    let faults = Faults::before(server);
    awake(&world, &faults).await;
    let watched = Watched::new(&world.through(faults.endpoint()), &[]);
    let url = format!("{}/onboard/DEV_1", watched.url);
    let error = |operation: &str, code: &str, status: u16| {
        faults.rules(&[json!({"operation": operation, "error": {"code": code, "status": status}})]);
        let answer = http("POST", &url, &[], "");
        faults.rules(&[]);
        has_cors(&answer);
        (answer.status, answer.json()["error"]["code"].clone(), answer.header("retry-after").is_some())
    };
    let throttled = (429, json!("TECHNICAL_ERROR_1"), true);
    assert_eq!(error("CreateThing", "ThrottlingException", 400), throttled, "{}", watched.function.log());
    let denied = (500, json!("TECHNICAL_ERROR_4"), false);
    assert_eq!(error("CreateKeysAndCertificate", "UnauthorizedException", 401), denied);
    let unavailable = (503, json!("TECHNICAL_ERROR_2"), true);
    assert_eq!(error("AttachPolicy", "InternalFailureException", 500), unavailable);
    let good = http("POST", &url, &[], "");
    assert_eq!(good.status, 200, "each of them left something to go on from: {good:?}");
    Inventory::of(&world.iot().await, &world.registry().await).await.assert_one("DEV_1");
    let log = watched.function.log();
    assert!(log.contains("\"cause\":\"iot:CreateThing: ThrottlingException"), "{log}");
}

/// Schemathesis: every answer to everything that it thinks of is one that the document describes.
#[tokio::test(flavor = "multi_thread")]
async fn the_openapi_document_holds() {
    let schemathesis = root().join(".venv-api/bin/schemathesis");
    let schemathesis = std::env::var_os("SCHEMATHESIS").map_or(schemathesis, PathBuf::from);
    assert!(schemathesis.exists(), "schemathesis is not there: run `make venv`");
    let world = World::new(Server::shared(Kind::Ministack)).await;
    let watched = Watched::new(&world, &[]);
    let folder = tempfile::tempdir().unwrap();
    // There is no authorizer before the service here, so nothing refuses a request without a token.
    let document = fs::read_to_string(root().join("onboarding/openapi.yaml")).unwrap();
    let open = document.replacen("security:\n  - token: []\n", "", 1);
    assert_ne!(open, document);
    fs::write(folder.path().join("openapi.yaml"), open).unwrap();
    let output = Command::new(schemathesis)
        .args(["run", "--url", &watched.url, "--seed", "1", "--max-examples", "40", "--no-color"])
        .args(["--checks", "all", "--exclude-checks", "ignored_auth,positive_data_acceptance"])
        // A preflight is answered wherever it is sent; other tests have it.
        .args(["--exclude-method", "OPTIONS"])
        .arg("openapi.yaml")
        .current_dir(folder.path())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    println!("{text}");
    assert!(output.status.success(), "{text}\n{}", watched.function.log());
    assert!(!watched.function.log().contains("PRIVATE KEY"));
}

/// Figures for README.md: calls to AWS and time per POST.
#[tokio::test(flavor = "multi_thread")]
async fn calls_and_time_per_post() {
    let server = Server::shared(Kind::Ministack);
    let world = World::new(server).await;
    let faults = Faults::before(server);
    awake(&world, &faults).await;
    let watched = Watched::new(&world.through(faults.endpoint()), &[]);
    let calls = |serial: &str| {
        faults.rules(&[json!({"latency": {"mean_ms": 0}})]);
        let before = faults.fired().len();
        let answer = http("POST", &format!("{}/onboard/{serial}", watched.url), &[], "");
        assert_eq!(answer.status, 200, "{answer:?}\n{}", watched.function.log());
        let fired = faults.fired();
        let names: Vec<_> =
            fired[before..].iter().map(|event| event["operation"].as_str().unwrap_or("?")).collect();
        println!("{serial}: {}", names.join(", "));
        names.len()
    };
    println!("calls to AWS: cold {}, warm {}, repeated {}", calls("c1"), calls("c2"), calls("c2"));
    faults.rules(&[]);
    drop(watched);
    let watched = Watched::new(&world, &[]);
    let mut times: Vec<_> = (0..60)
        .map(|number| {
            let began = Instant::now();
            let answer = http("POST", &format!("{}/onboard/t{number}", watched.url), &[], "");
            assert_eq!(answer.status, 200, "{answer:?}\n{}", watched.function.log());
            began.elapsed()
        })
        .collect();
    println!("first POST, start of the process included: {:?}", times[0]);
    times.sort();
    println!("POST: p50 {:?}, p99 {:?}", times[times.len() / 2], times[times.len() * 99 / 100]);
}
