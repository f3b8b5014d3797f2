//! A server on this machine that does what a test tells it, good or bad.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// What the server answers to one request.
#[derive(Debug, Clone)]
pub(super) struct Reply {
    pub(super) body: Vec<u8>,
    pub(super) etag: &'static str,
    /// `200` sends the body, or the part of it that was asked for; others send nothing.
    pub(super) status: u16,
    pub(super) knows_ranges: bool,
    /// Bytes after which the connection is closed.
    pub(super) break_after: Option<usize>,
    /// Stay silent after `break_after` for a while, instead of closing at once.
    pub(super) stalls: bool,
}

impl Reply {
    pub(super) fn whole(body: &[u8]) -> Self {
        Self {
            body: body.to_vec(),
            etag: "\"one\"",
            status: 200,
            knows_ranges: true,
            break_after: None,
            stalls: false,
        }
    }

    pub(super) fn broken(body: &[u8], after: usize) -> Self {
        Self { break_after: Some(after), ..Self::whole(body) }
    }
}

/// One request: the headers in question.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Request {
    pub(super) range: Option<String>,
    pub(super) if_range: Option<String>,
}

pub(super) struct Server {
    pub(super) url: String,
    thread: JoinHandle<Vec<Request>>,
}

impl Server {
    /// Answers as many requests as there are replies, then refuses connections.
    pub(super) fn start(replies: Vec<Reply>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/file", listener.local_addr().unwrap());
        listener.set_nonblocking(true).unwrap();
        let serve = move || {
            let serve = |reply: Reply| Some(answer(&reply, accept(&listener)?));
            replies.into_iter().map_while(serve).collect()
        };
        Self { url, thread: thread::spawn(serve) }
    }

    /// The requests, once as many have come as there were replies or no more have for a while.
    pub(super) fn requests(self) -> Vec<Request> {
        self.thread.join().unwrap()
    }
}

/// The next connection; `None` if nobody comes.
fn accept(listener: &TcpListener) -> Option<TcpStream> {
    for _ in 0..500 {
        match listener.accept() {
            Ok((stream, _)) => {
                stream.set_nonblocking(false).unwrap();
                return Some(stream);
            }
            Err(_) => thread::sleep(Duration::from_millis(10)),
        }
    }
    None
}

fn answer(reply: &Reply, mut stream: TcpStream) -> Request {
    let request = read_request(&stream);
    let mut body = reply.body.as_slice();
    let mut head = format!("ETag: {}\r\nConnection: close\r\n", reply.etag);
    let mut status = reply.status;
    let start = request.range.as_deref().map(|range| {
        range.strip_prefix("bytes=").unwrap().strip_suffix('-').unwrap().parse::<usize>().unwrap()
    });
    if let Some(start) = start
        && reply.knows_ranges
        && request.if_range.as_deref().is_none_or(|tag| tag == reply.etag)
    {
        let total = body.len();
        head += &format!("Content-Range: bytes {start}-{}/{total}\r\n", total - 1);
        body = &body[start..];
        status = 206;
    }
    if reply.status != 200 {
        (status, body) = (reply.status, &[]);
    }
    head += &format!("Content-Length: {}\r\n", body.len());
    let sent = &body[..reply.break_after.unwrap_or(body.len()).min(body.len())];
    // The other side may have left already, which is its right.
    let _ = write!(stream, "HTTP/1.1 {status} Said\r\n{head}\r\n");
    let _ = stream.write_all(sent);
    if reply.stalls {
        thread::sleep(Duration::from_millis(600));
    }
    request
}

fn read_request(stream: &TcpStream) -> Request {
    let mut request = Request::default();
    for line in BufReader::new(stream).lines() {
        let line = line.unwrap();
        match line.split_once(": ") {
            Some((name, value)) if name.eq_ignore_ascii_case("range") => {
                request.range = Some(value.to_owned());
            }
            Some((name, value)) if name.eq_ignore_ascii_case("if-range") => {
                request.if_range = Some(value.to_owned());
            }
            _ if line.is_empty() => break,
            _ => {}
        }
    }
    request
}
