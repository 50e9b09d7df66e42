//! The server and the client that both proxies use, with the same options: only the service between them differs.

use std::error::Error;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::Service;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpListener;

type BoxError = Box<dyn Error + Send + Sync>;

/// Serves HTTP/1 on every connection, for as long as the process lives.
pub(crate) async fn serve<S, B>(listener: TcpListener, service: S)
where
    S: Service<Request<Incoming>, Response = Response<B>, Error: Into<BoxError>, Future: Send>
        + Clone
        + Send
        + 'static,
    B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    let http = http1::Builder::new();
    loop {
        let (stream, _) = listener.accept().await.expect("a connection is accepted");
        // Without it the last frame of an answer waits up to 40 ms for the caller's delayed ACK.
        stream.set_nodelay(true).expect("TCP_NODELAY");
        let connection = http.serve_connection(TokioIo::new(stream), service.clone());
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                eprintln!("relay: connection: {error:?}");
            }
        });
    }
}

/// A client that keeps its connections open and sends without delay.
pub(crate) fn client<B>() -> Client<HttpConnector, B>
where
    B: Body<Data: Send> + Send,
{
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    Client::builder(TokioExecutor::new()).build(connector)
}
