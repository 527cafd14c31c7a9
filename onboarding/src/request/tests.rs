use serde_json::json;

use super::*;

fn new(method: &str, path: &str) -> Value {
    json!({
        "version": "2.0", "rawPath": path,
        "requestContext": {"stage": "$default", "http": {"method": method, "path": path}},
    })
}

fn old(method: &str, path: &str) -> Value {
    json!({"version": "1.0", "httpMethod": method, "path": path, "requestContext": {"stage": "api"}})
}

fn get(serial: &str) -> Request {
    Request::Get { serial: serial.to_owned() }
}

#[test]
fn both_forms_with_and_without_the_stage() {
    let staged = json!({
        "version": "2.0", "rawPath": "/api/onboard/a",
        "requestContext": {"stage": "api", "http": {"method": "GET"}},
    });
    for event in [new("GET", "/onboard/a"), old("GET", "/onboard/a"), old("GET", "/api/onboard/a/"), staged] {
        assert!(is_http(&event));
        assert_eq!(parse(&event), Ok(get("a")), "{event}");
    }
}

#[test]
fn ids_are_decoded_and_checked() {
    assert_eq!(parse(&new("GET", "/onboard/a%3Ab_c-1")), Ok(get("a:b_c-1")));
    let long = format!("/onboard/{}", "x".repeat(129));
    for path in ["/onboard/a%20b", "/onboard/%FF", "/onboard/a%2Fb", "/onboard/é", &long] {
        assert_eq!(parse(&new("GET", path)), Err(Failure::Serial), "{path}");
    }
    assert_eq!(parse(&new("GET", &format!("/onboard/{}", "x".repeat(128)))), Ok(get(&"x".repeat(128))));
}

#[test]
fn what_is_not_there() {
    for path in
        ["", "/", "/onboard", "/onboard/", "/onboard/a/b", "/x/onboard/a", "/onboarding/a", "onboard/a"]
    {
        assert_eq!(parse(&new("GET", path)), Err(Failure::Route), "{path}");
    }
    for method in ["PUT", "PATCH", "HEAD", "get", "TRACE"] {
        assert_eq!(parse(&new(method, "/onboard/a")), Err(Failure::Method), "{method}");
    }
}

#[test]
fn a_preflight_needs_no_path() {
    for event in [new("OPTIONS", "/"), old("OPTIONS", "/api/onboard/a")] {
        assert_eq!(parse(&event), Ok(Request::Preflight));
    }
}

#[test]
fn bodies() {
    let with = |body: Value, base64: bool| {
        let mut event = new("POST", "/onboard/a");
        event["body"] = body;
        event["isBase64Encoded"] = json!(base64);
        parse(&event)
    };
    let plain = Ok(Request::Create { serial: "a".to_owned(), csr: None });
    for body in
        [json!(null), json!(""), json!(" \n"), json!("{}"), json!("null"), json!(r#"{"x":1,"csr":null}"#)]
    {
        assert_eq!(with(body, false), plain);
    }
    assert_eq!(with(json!("e30="), true), plain);
    for (body, base64) in [("x", false), ("[]", false), ("\"x\"", false), ("!", true), ("/w==", true)] {
        assert_eq!(with(json!(body), base64), Err(Failure::Body), "{body}");
    }
    for body in [r#"{"csr":1}"#, r#"{"csr":""}"#, r#"{"csr":"x"}"#] {
        assert!(matches!(with(json!(body), false), Err(Failure::Csr(_))), "{body}");
    }
}

#[test]
fn events_of_another_kind_are_told_apart() {
    for event in
        [json!({}), json!([]), json!("x"), json!(null), json!({"reconcile": {}}), json!({"httpMethod": 1})]
    {
        assert!(!is_http(&event), "{event}");
    }
}

proptest::proptest! {
    #[test]
    fn no_path_and_no_body_panics(path in ".*", body in ".*", base64: bool) {
        let mut event = new("POST", &path);
        event["body"] = json!(body);
        event["isBase64Encoded"] = json!(base64);
        let _ = parse(&event);
    }

    #[test]
    fn what_passes_is_a_name(id in ".*") {
        if let Ok(request) = parse(&new("GET", &format!("/onboard/{id}"))) {
            proptest::prop_assert!(request.serial().is_some_and(is_name));
        }
    }
}
