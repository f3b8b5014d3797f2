//! Chromium without a window, driven by its DevTools protocol
//! (<https://chromedevtools.github.io/devtools-protocol/>).

use std::fs;
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use tungstenite::{Message, WebSocket};

/// The longest that the browser may take to start, and to answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// The names under which Chromium is installed.
const NAMES: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];

/// The command that starts Chromium; none where it is not installed.
pub(crate) fn chromium() -> Option<&'static str> {
    NAMES.into_iter().find(|name| {
        let mut probe = Command::new(name);
        probe.arg("--version").stdout(Stdio::null()).stderr(Stdio::null());
        probe.status().is_ok_and(|status| status.success())
    })
}

/// A browser with one open page.
pub(super) struct Browser {
    process: Child,
    socket: WebSocket<TcpStream>,
    session: Option<String>,
    n_sent: u64,
    /// What the page complained of, and what it asked the network for, since the last navigation.
    complaints: Vec<String>,
    n_loads: usize,
}

impl Browser {
    /// Starts `program` with `profile`, an empty folder, for its files.
    pub(super) fn start(program: &str, profile: &Path) -> Result<Self> {
        let mut command = Command::new(program);
        command.args(["--headless", "--disable-gpu", "--hide-scrollbars", "--no-first-run"]);
        command.args(["--remote-debugging-port=0", "--disable-background-networking"]);
        command.arg(format!("--user-data-dir={}", profile.display()));
        if is_root()? {
            // Chromium's sandbox refuses to work for root, the usual user inside a container.
            command.arg("--no-sandbox");
        }
        command.arg("about:blank").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut process = command.spawn().with_context(|| format!("start {program}"))?;
        match connect(&mut process, profile) {
            Ok(socket) => {
                let (complaints, n_loads) = (Vec::new(), 0);
                let mut browser =
                    Self { process, socket, session: None, n_sent: 0, complaints, n_loads };
                browser.attach()?;
                Ok(browser)
            }
            Err(error) => {
                // The first error is the one to report.
                let _ = process.kill();
                let _ = process.wait();
                Err(error)
            }
        }
    }

    /// Opens a page and attaches to it.
    fn attach(&mut self) -> Result<()> {
        let target = self.call("Target.createTarget", json!({"url": "about:blank"}))?;
        let attached = self.call(
            "Target.attachToTarget",
            json!({"targetId": target["targetId"], "flatten": true}),
        )?;
        let session = attached["sessionId"].as_str().context("no session")?;
        self.session = Some(session.to_owned());
        for domain in ["Page", "Runtime", "Log", "Network"] {
            self.call(&format!("{domain}.enable"), json!({}))?;
        }
        Ok(())
    }

    /// Loads the file `path` in a window of that size, light or dark.
    pub(super) fn open(
        &mut self,
        path: &Path,
        width: u32,
        height: u32,
        scheme: &str,
    ) -> Result<()> {
        let size =
            json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
        self.call("Emulation.setDeviceMetricsOverride", size)?;
        let features = json!([{"name": "prefers-color-scheme", "value": scheme}]);
        self.call("Emulation.setEmulatedMedia", json!({"features": features}))?;
        // Its background is painted before the page has any.
        self.complaints.clear();
        let loads = self.n_loads;
        let url = format!("file://{}", path.display());
        let answer = self.call("Page.navigate", json!({"url": url}))?;
        if let Some(error) = answer["errorText"].as_str() {
            bail!("cannot load {url}: {error}");
        }
        let start = Instant::now();
        while self.n_loads == loads {
            self.receive()?;
            if start.elapsed() > PATIENCE {
                bail!("{url} did not finish loading");
            }
        }
        Ok(())
    }

    /// The value of a JavaScript expression, awaited where it is a promise.
    pub(super) fn evaluate(&mut self, expression: &str) -> Result<Value> {
        let answer = self.call(
            "Runtime.evaluate",
            json!({"expression": expression, "awaitPromise": true, "returnByValue": true}),
        )?;
        match answer.get("exceptionDetails") {
            Some(details) => bail!("`{expression}` failed: {details}"),
            None => Ok(answer["result"]["value"].clone()),
        }
    }

    /// Moves the pointer to a place in the window and, where wanted, clicks there.
    pub(super) fn point(&mut self, x: f64, y: f64, click: bool) -> Result<()> {
        let kinds = if click {
            &["mouseMoved", "mousePressed", "mouseReleased"][..]
        } else {
            &["mouseMoved"]
        };
        for kind in kinds {
            let button = if *kind == "mouseMoved" { "none" } else { "left" };
            let event = json!({"type": kind, "x": x, "y": y, "button": button, "clickCount": 1});
            self.call("Input.dispatchMouseEvent", event)?;
        }
        Ok(())
    }

    /// Presses and releases a key, `Escape` for example.
    pub(super) fn press(&mut self, key: &str) -> Result<()> {
        let code = match key {
            "Escape" => 27,
            "Tab" => 9,
            "Enter" => 13,
            "ArrowRight" => 39,
            "ArrowDown" => 40,
            _ => bail!("no code for the key {key}"),
        };
        for kind in ["keyDown", "keyUp"] {
            let mut event =
                json!({"type": kind, "key": key, "code": key, "windowsVirtualKeyCode": code});
            if key == "Enter" && kind == "keyDown" {
                event["text"] = "\r".into();
            }
            self.call("Input.dispatchKeyEvent", event)?;
        }
        Ok(())
    }

    /// The window, or the whole page, as PNG in base64.
    pub(super) fn screenshot(&mut self, whole: bool) -> Result<String> {
        let mut wish = json!({"format": "png", "captureBeyondViewport": whole});
        if whole {
            let size = &self.call("Page.getLayoutMetrics", json!({}))?["cssContentSize"];
            wish["clip"] = json!({
                "x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1
            });
        }
        let answer = self.call("Page.captureScreenshot", wish)?;
        Ok(answer["data"].as_str().context("no picture")?.to_owned())
    }

    /// Errors and warnings of the page, and requests it made, since it was opened.
    pub(super) fn complaints(&self) -> &[String] {
        &self.complaints
    }

    fn call(&mut self, method: &str, parameters: Value) -> Result<Value> {
        self.n_sent += 1;
        let mut message = json!({"id": self.n_sent, "method": method, "params": parameters});
        if let Some(session) = &self.session {
            message["sessionId"] = session.clone().into();
        }
        self.socket.send(Message::text(message.to_string())).context("talk to the browser")?;
        loop {
            let answer = self.receive()?;
            if answer["id"] == self.n_sent {
                return match answer.get("error") {
                    Some(error) => bail!("{method}: {error}"),
                    None => Ok(answer["result"].clone()),
                };
            }
        }
    }

    /// The next message, noted where it is an event.
    fn receive(&mut self) -> Result<Value> {
        let message = self.socket.read().context("listen to the browser")?;
        let Message::Text(text) = message else { return Ok(Value::Null) };
        let message: Value = serde_json::from_str(&text).context("read the browser's message")?;
        let parameters = &message["params"];
        match message["method"].as_str().unwrap_or_default() {
            "Page.loadEventFired" => self.n_loads += 1,
            "Runtime.exceptionThrown" => {
                self.complaints.push(format!("exception: {}", parameters["exceptionDetails"]));
            }
            "Runtime.consoleAPICalled"
                if ["error", "warning", "assert"]
                    .iter()
                    .any(|kind| parameters["type"] == *kind) =>
            {
                self.complaints.push(format!("console: {}", parameters["args"]));
            }
            "Log.entryAdded" => self.complaints.push(format!("log: {}", parameters["entry"])),
            "Network.requestWillBeSent" => {
                let url = parameters["request"]["url"].as_str().unwrap_or_default();
                let is_page = parameters["type"] == "Document" && url.starts_with("file:");
                if !is_page && !url.starts_with("data:") {
                    self.complaints.push(format!("request: {url}"));
                }
            }
            _ => {}
        }
        Ok(message)
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // It may have gone by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Waits until the browser says where it listens, and connects.
fn connect(process: &mut Child, profile: &Path) -> Result<WebSocket<TcpStream>> {
    let start = Instant::now();
    let address = loop {
        // A port and the path of the socket, one a line.
        let told = fs::read_to_string(profile.join("DevToolsActivePort")).unwrap_or_default();
        if let Some((port, path)) = told.trim_end().split_once('\n') {
            break (format!("127.0.0.1:{port}"), path.to_owned());
        }
        if let Some(status) = process.try_wait()? {
            bail!("the browser ended at once ({status})");
        }
        if start.elapsed() > PATIENCE {
            bail!("the browser did not start within {PATIENCE:?}");
        }
        thread::sleep(Duration::from_millis(20));
    };
    let (host, path) = address;
    let stream = TcpStream::connect(&host).context("connect to the browser")?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let (socket, _) = tungstenite::client(format!("ws://{host}{path}"), stream)
        .map_err(|error| anyhow::anyhow!("connect to the browser: {error}"))?;
    Ok(socket)
}

fn is_root() -> Result<bool> {
    let output = Command::new("id").arg("-u").output().context("start `id -u`")?;
    Ok(output.stdout.trim_ascii() == b"0")
}
