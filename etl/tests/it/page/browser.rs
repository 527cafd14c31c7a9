//! A browser without a window, spoken to over a pipe in the Chrome DevTools protocol: no port, no driver, no library.
//!
//! In come addresses, expressions and keys; out come values, and a record of all that a page asked for and complained of.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use base64::Engine as _;
use serde_json::{Value, json};
use tempfile::TempDir;

/// What browsers of this kind are called.
const NAMES: [&str; 4] = ["chromium", "chromium-browser", "google-chrome-stable", "google-chrome"];

/// A browser with one page.
pub struct Browser {
    process: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    session: Option<String>,
    sent: u64,
    /// What the page asked for, by address.
    pub requests: Vec<String>,
    /// What it complained of: exceptions, errors and warnings, refusals of its policy.
    pub complaints: Vec<String>,
    /// How often a page was loaded.
    loads: u64,
    _profile: TempDir,
}

fn program() -> PathBuf {
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let mut all =
        NAMES.iter().flat_map(|name| std::env::split_paths(&folders).map(move |folder| folder.join(name)));
    all.find(|path| path.is_file()).expect("a browser is missing: run `make debian`, or install chromium")
}

impl Browser {
    pub fn start() -> Browser {
        let profile = TempDir::new().unwrap();
        // The browser reads commands from 3 and writes to 4.
        let mut command = Command::new("sh");
        command.arg("-c").arg("exec \"$@\" 3<&0 4>&1 0</dev/null 1>/dev/null 2>&1").arg("sh").arg(program());
        command.args([
            "--headless=new",
            "--remote-debugging-pipe",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
        ]);
        command.args([
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
        ]);
        command.args([
            "--disable-extensions",
            "--hide-scrollbars",
            "--force-device-scale-factor=1",
            "--window-size=1280,900",
        ]);
        command.arg(format!("--user-data-dir={}", profile.path().display())).arg("about:blank");
        // Else it keeps crash reports there.
        command.env("HOME", profile.path());
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (input, output) = (process.stdin.take().unwrap(), BufReader::new(process.stdout.take().unwrap()));
        let (requests, complaints) = (Vec::new(), Vec::new());
        let mut browser = Browser {
            process,
            input,
            output,
            session: None,
            sent: 0,
            requests,
            complaints,
            loads: 0,
            _profile: profile,
        };
        let target =
            browser.call("Target.createTarget", &json!({ "url": "about:blank" }))["targetId"].clone();
        let attached = browser.call("Target.attachToTarget", &json!({ "targetId": target, "flatten": true }));
        browser.session = Some(attached["sessionId"].as_str().unwrap().to_owned());
        for domain in ["Page", "Runtime", "Network", "Log"] {
            browser.call(&format!("{domain}.enable"), &json!({}));
        }
        browser.look_like("light", 1280, 900);
        browser
    }

    /// Sends a command and waits for its answer; what happens meanwhile is taken down.
    fn call(&mut self, method: &str, parameters: &Value) -> Value {
        self.sent += 1;
        let mut message = json!({ "id": self.sent, "method": method, "params": parameters });
        if let Some(session) = &self.session {
            message["sessionId"] = json!(session);
        }
        self.input.write_all(format!("{message}\0").as_bytes()).unwrap();
        self.input.flush().unwrap();
        loop {
            let message = self.next();
            if message["id"] == json!(self.sent) {
                assert!(message["error"].is_null(), "{method}: {}", message["error"]);
                return message["result"].clone();
            }
        }
    }

    fn next(&mut self) -> Value {
        let mut bytes = Vec::new();
        self.output.read_until(0, &mut bytes).unwrap();
        assert_eq!(bytes.pop(), Some(0), "the browser has ended");
        let message: Value = serde_json::from_slice(&bytes).unwrap();
        let of = &message["params"];
        match message["method"].as_str().unwrap_or_default() {
            "Network.requestWillBeSent" => {
                self.requests.push(of["request"]["url"].as_str().unwrap().to_owned())
            }
            "Runtime.exceptionThrown" => self.complaints.push(of["exceptionDetails"].to_string()),
            "Log.entryAdded" => self.complaints.push(of["entry"].to_string()),
            "Runtime.consoleAPICalled" => self.complaints.push(of["args"].to_string()),
            "Page.javascriptDialogOpening" => panic!("a dialog opened: {of}"),
            "Page.loadEventFired" => self.loads += 1,
            _ => {}
        }
        message
    }

    /// Opens an address and waits until it is loaded.
    pub fn open(&mut self, address: &str) {
        let before = self.loads;
        let answer = self.call("Page.navigate", &json!({ "url": address }));
        assert!(answer["errorText"].is_null(), "{address}: {answer}");
        while self.loads == before {
            self.next();
        }
    }

    pub fn open_file(&mut self, path: &Path) {
        self.open(&format!("file://{}", path.display()));
    }

    /// The value of an expression in the page.
    pub fn value(&mut self, expression: &str) -> Value {
        let asked = json!({ "expression": expression, "returnByValue": true, "awaitPromise": true });
        let answer = self.call("Runtime.evaluate", &asked);
        assert!(answer["exceptionDetails"].is_null(), "{expression}: {}", answer["exceptionDetails"]);
        answer["result"]["value"].clone()
    }

    pub fn text(&mut self, selector: &str) -> String {
        let selector = json!(selector);
        let text = self.value(&format!("document.querySelector({selector}).textContent"));
        text.as_str().unwrap().to_owned()
    }

    /// The texts of all elements that a selector finds.
    pub fn texts(&mut self, selector: &str) -> Vec<String> {
        let selector = json!(selector);
        let texts =
            self.value(&format!("[...document.querySelectorAll({selector})].map((one) => one.textContent)"));
        serde_json::from_value(texts).unwrap()
    }

    /// Waits until an expression is true.
    pub fn wait_until(&mut self, expression: &str) {
        self.value(&format!(
            "new Promise((done) => {{ const look = () => ({expression}) ? done(true) : setTimeout(look, 20); look(); }})"
        ));
    }

    /// Chooses an entry of a list, or sets a field, as a person would.
    pub fn choose(&mut self, id: &str, value: &str) {
        let (id, value) = (json!(id), json!(value));
        let chosen = self.value(&format!(
            "(() => {{ const field = document.getElementById({id}); field.value = {value};
             field.dispatchEvent(new Event('input', {{ bubbles: true }}));
             field.dispatchEvent(new Event('change', {{ bubbles: true }})); return field.value; }})()"
        ));
        assert_eq!(chosen, value, "{id}");
    }

    pub fn click(&mut self, selector: &str) {
        let selector = json!(selector);
        self.value(&format!("document.querySelector({selector}).click()"));
    }

    /// Presses a key where the focus is.
    pub fn press(&mut self, key: &str) {
        // Tab moves the focus only with its code.
        let codes =
            [("Tab", 9), ("Enter", 13), ("ArrowLeft", 37), ("ArrowRight", 39), ("Home", 36), ("End", 35)];
        let (_, code) = codes.iter().find(|(name, _)| *name == key).unwrap();
        let mut event = json!({ "type": "keyDown", "key": key, "code": key, "windowsVirtualKeyCode": code });
        if key == "Enter" {
            event["text"] = json!("\r");
        }
        self.call("Input.dispatchKeyEvent", &event);
        event["type"] = json!("keyUp");
        self.call("Input.dispatchKeyEvent", &event);
    }

    /// `light` or `dark`, in a window of this size.
    pub fn look_like(&mut self, theme: &str, width: u32, height: u32) {
        let theme = json!({ "features": [{ "name": "prefers-color-scheme", "value": theme }] });
        self.call("Emulation.setEmulatedMedia", &theme);
        let size = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        self.call("Emulation.setDeviceMetricsOverride", &size);
        // Two frames: until the page has drawn what it looks like now.
        self.value("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))");
    }

    /// What can be seen, as PNG.
    pub fn picture(&mut self) -> Vec<u8> {
        let picture =
            self.call("Page.captureScreenshot", &json!({ "format": "png", "optimizeForSpeed": false }));
        base64::engine::general_purpose::STANDARD.decode(picture["data"].as_str().unwrap()).unwrap()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
