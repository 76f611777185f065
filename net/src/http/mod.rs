//! The HTTP port: metrics, health and the cluster page. `GET` only, one request a connection.

use std::future::{Future, poll_fn};
use std::io::IoSlice;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use basalt_core::seam::Inspect;
use bytes::{Buf, Bytes};
use tokio::sync::oneshot;

use crate::clients::accept_each;
use crate::inbox::{Inbox, Input};
use crate::platform::{Platform, Writer};

/// Connections served at once; more are closed.
const CONNECTIONS_MAX: usize = 64;
/// A request head beyond this is refused.
const HEAD_BYTES_MAX: usize = 8 << 10;
/// A whole exchange must end within this.
const EXCHANGE_WITHIN: Duration = Duration::from_secs(10);

const PAGE: &str = include_str!("page.html");

/// Accepts HTTP connections until the runtime ends.
pub async fn accept<P: Platform, M: 'static>(
    platform: P,
    inbox: Rc<Inbox<P, M>>,
    listener: P::Listener,
) {
    let open = Rc::new(());
    accept_each(&platform, &listener, |reader, writer, _| {
        if Rc::strong_count(&open) <= CONNECTIONS_MAX {
            let exchange = exchange::<P, M>(inbox.clone(), reader, writer);
            platform.spawn(limited(platform.clone(), open.clone(), exchange));
        }
    })
    .await;
}

async fn limited<P: Platform>(platform: P, _open: Rc<()>, exchange: impl Future<Output = ()>) {
    let mut limit = std::pin::pin!(platform.sleep(EXCHANGE_WITHIN));
    let mut exchange = std::pin::pin!(exchange);
    poll_fn(|context| {
        if limit.as_mut().poll(context).is_ready() {
            return Poll::Ready(());
        }
        exchange.as_mut().poll(context)
    })
    .await;
}

async fn exchange<P: Platform, M>(
    inbox: Rc<Inbox<P, M>>,
    mut reader: P::Reader,
    mut writer: P::Writer,
) {
    let mut head = Vec::new();
    let answer = loop {
        match parse(&head) {
            Request::Partial if head.len() < HEAD_BYTES_MAX => {}
            Request::Get(path) => break route(&inbox, &path).await,
            Request::OtherMethod => break Answer::text(405, "only GET is served here\n"),
            Request::Partial | Request::Bad => break Answer::text(400, "not an HTTP request\n"),
        }
        let read = poll_fn(|context| {
            inbox.poll_read(&mut reader, context, |bytes| head.extend_from_slice(bytes))
        });
        let Ok(Some(())) = read.await else { return };
    };
    let mut out = answer.encode();
    poll_fn(|context| {
        while !out.is_empty() {
            match writer.poll_write(context, &[IoSlice::new(&out)]) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(bytes)) if bytes > 0 => out.advance(bytes),
                Poll::Ready(_) => return Poll::Ready(()),
            }
        }
        writer.poll_shutdown(context).map(|_| ())
    })
    .await;
    // Until the other side has closed, so that nothing of the answer is lost to a reset.
    while let Ok(Some(())) = poll_fn(|context| inbox.poll_read(&mut reader, context, |_| ())).await
    {
    }
}

#[derive(PartialEq, Eq, Debug)]
enum Request {
    Partial,
    Get(String),
    OtherMethod,
    Bad,
}

fn parse(head: &[u8]) -> Request {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut request = httparse::Request::new(&mut headers);
    match request.parse(head) {
        Err(_) => Request::Bad,
        Ok(httparse::Status::Partial) => Request::Partial,
        Ok(httparse::Status::Complete(_)) if request.method != Some("GET") => Request::OtherMethod,
        Ok(httparse::Status::Complete(_)) => {
            let target = request.path.unwrap_or("/");
            Request::Get(target.split(['?', '#']).next().unwrap_or("/").to_owned())
        }
    }
}

async fn route<P: Platform, M>(inbox: &Inbox<P, M>, path: &str) -> Answer {
    match path {
        "/" => Answer { status: 200, kind: "text/html; charset=utf-8", body: PAGE.to_owned() },
        "/metrics" => match ask(inbox, Inspect::Metrics).await {
            Some(mut body) => {
                inbox.counters.render(&mut body);
                Answer { status: 200, kind: "text/plain; version=0.0.4", body }
            }
            None => Answer::stopping(),
        },
        "/health/live" => health(ask(inbox, Inspect::Health).await, "live"),
        "/health/ready" => health(ask(inbox, Inspect::Health).await, "ready"),
        "/api/v1/cluster" => match ask(inbox, Inspect::Cluster).await {
            Some(body) => Answer { status: 200, kind: "application/json", body },
            None => Answer::stopping(),
        },
        _ => Answer::text(404, "no such page\n"),
    }
}

async fn ask<P: Platform, M>(inbox: &Inbox<P, M>, what: Inspect) -> Option<String> {
    let (reply, answer) = oneshot::channel();
    inbox.push(Input::Inspect { what, reply });
    answer.await.ok()
}

fn health(body: Option<String>, field: &str) -> Answer {
    let Some(body) = body else { return Answer::stopping() };
    let report: serde_json::Value = serde_json::from_str(&body).unwrap_or_default();
    let status = if report[field] == true { 200 } else { 503 };
    Answer { status, kind: "application/json", body }
}

struct Answer {
    status: u16,
    kind: &'static str,
    body: String,
}

impl Answer {
    fn text(status: u16, body: &str) -> Answer {
        Answer { status, kind: "text/plain; charset=utf-8", body: body.to_owned() }
    }

    fn stopping() -> Answer {
        Answer::text(503, "the instance is stopping\n")
    }

    fn encode(&self) -> Bytes {
        let reason = match self.status {
            200 => "OK",
            400 => "Bad Request",
            404 => "Not Found",
            405 => "Method Not Allowed",
            _ => "Service Unavailable",
        };
        Bytes::from(format!(
            "HTTP/1.1 {} {reason}\r\nContent-Type: {}\r\nContent-Length: {}\r\n\
             Cache-Control: no-store\r\nConnection: close\r\n\r\n{}",
            self.status,
            self.kind,
            self.body.len(),
            self.body
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_told_apart() {
        let cases = [
            ("GET /metrics?x=1 HTTP/1.1\r\nHost: a\r\n\r\n", Request::Get("/metrics".to_owned())),
            ("GET / HTTP/1.0\r\n\r\n", Request::Get("/".to_owned())),
            ("GET / HTTP/1.1\r\nHost:", Request::Partial),
            ("POST / HTTP/1.1\r\n\r\n", Request::OtherMethod),
            ("\0\0\0\u{8}garbage\r\n\r\n", Request::Bad),
        ];
        for (head, expected) in cases {
            assert_eq!(parse(head.as_bytes()), expected, "{head:?}");
        }
    }

    #[test]
    fn health_is_a_status_code() {
        let report = r#"{"live": true, "ready": false}"#;
        assert_eq!(health(Some(report.to_owned()), "live").status, 200);
        assert_eq!(health(Some(report.to_owned()), "ready").status, 503);
        assert_eq!(health(Some("nonsense".to_owned()), "live").status, 503);
        assert_eq!(health(None, "live").status, 503);
    }
}
