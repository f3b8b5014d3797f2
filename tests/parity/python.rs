//! Scripts of this folder, run by Python processes that stay for the next test.

use std::io::{BufRead, BufReader, Lines, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Mutex;

/// `worker.py`, waiting for a script.
struct Worker {
    process: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
}

/// As many as there were scripts at a time. They end when their standard input does, with this
/// process.
static IDLE: Mutex<Vec<Worker>> = Mutex::new(Vec::new());

/// Runs a script of this folder with these arguments.
pub(crate) fn run(script: &str, arguments: &[&Path]) {
    let idle = IDLE.lock().unwrap().pop();
    let mut worker = idle.unwrap_or_else(Worker::start);
    worker.run(script, arguments);
    IDLE.lock().unwrap().push(worker);
}

impl Worker {
    fn start() -> Self {
        let python = std::env::var_os("PARITY_PYTHON")
            .expect("PARITY_PYTHON is not set; run `cargo xtask parity`");
        let mut python = Command::new(python);
        python.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("parity/worker.py"));
        // The tests share the cores among them.
        python.env("OMP_NUM_THREADS", "1").stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = python.spawn().expect("start Python");
        let input = process.stdin.take().unwrap();
        let output = BufReader::new(process.stdout.take().unwrap()).lines();
        Self { process, input, output }
    }

    fn run(&mut self, script: &str, arguments: &[&Path]) {
        let arguments = arguments.iter().map(|argument| argument.to_str().unwrap());
        let line: Vec<&str> = std::iter::once(script).chain(arguments).collect();
        // Where the process has ended, its output has too.
        let _ = writeln!(self.input, "{}", serde_json::to_string(&line).unwrap());
        for printed in self.output.by_ref() {
            match printed.unwrap().as_str() {
                "done" => return,
                printed => println!("{printed}"),
            }
        }
        panic!("{line:?}: {}", self.process.wait().unwrap());
    }
}
