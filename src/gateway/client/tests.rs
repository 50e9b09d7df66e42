use std::{
    convert::Infallible,
    env, fs, process,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use http::{StatusCode, Uri, Version};
use http_body_util::{BodyExt, Full};
use hyper::{body::Bytes, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use rcgen::{CertifiedKey, KeyPair};
use rustls_pki_types::PrivateKeyDer;
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader, copy_bidirectional},
    net::{TcpListener, TcpStream},
    sync::Barrier,
};
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt;

use super::*;
use crate::message::{Phase, TransportError};

/// A server's certificate, and a file of it to trust.
struct Certificate {
    acceptor: TlsAcceptor,
    file: std::path::PathBuf,
}

impl Certificate {
    /// For `localhost`; the server offers `protocols`.
    fn new(protocols: &[&str]) -> Self {
        static FILES: AtomicUsize = AtomicUsize::new(0);
        let names = vec!["localhost".to_owned()];
        let CertifiedKey::<KeyPair> { cert, signing_key } =
            rcgen::generate_simple_self_signed(names).unwrap();
        let name = format!(
            "relay-ca-{}-{}.pem",
            process::id(),
            FILES.fetch_add(1, Ordering::Relaxed)
        );
        let file = env::temp_dir().join(name);
        fs::write(&file, cert.pem()).unwrap();
        let key = PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
        let mut config = rustls::ServerConfig::builder_with_provider(Arc::new(
            rustls::crypto::ring::default_provider(),
        ))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .unwrap();
        config.alpn_protocols = protocols
            .iter()
            .map(|protocol| protocol.as_bytes().to_vec())
            .collect();
        Self {
            acceptor: TlsAcceptor::from(Arc::new(config)),
            file,
        }
    }
}

impl Drop for Certificate {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.file);
    }
}

/// Answers every request with how it came: version, URI and `proxy-authorization`.
async fn serve<IO: AsyncRead + AsyncWrite + Unpin + Send + 'static>(stream: IO) {
    let service = service_fn(|request: Request<Incoming>| async move {
        let authorization = request
            .headers()
            .get("proxy-authorization")
            .and_then(|value| value.to_str().ok());
        let text = format!(
            "{:?} {} {}",
            request.version(),
            request.uri(),
            authorization.unwrap_or("-")
        );
        Ok::<_, Infallible>(Response::new(Full::new(Bytes::from(text))))
    });
    let _ = auto::Builder::new(TokioExecutor::new())
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

/// The port of an upstream, and how many connections it has taken.
async fn upstream(tls: Option<TlsAcceptor>) -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let taken = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&taken);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            count.fetch_add(1, Ordering::SeqCst);
            let tls = tls.clone();
            tokio::spawn(async move {
                match tls {
                    None => serve(stream).await,
                    Some(tls) => {
                        if let Ok(stream) = tls.accept(stream).await {
                            serve(stream).await;
                        }
                    }
                }
            });
        }
    });
    (port, taken)
}

fn config(certificate: &Certificate, http: HttpVersion) -> ClientConfig {
    ClientConfig {
        ca_file: Some(certificate.file.clone()),
        http,
        proxy: ProxyConfig::None,
        ..ClientConfig::default()
    }
}

async fn get(client: &Client, uri: &str) -> Result<String, Error> {
    let request = Request::get(uri).body(RequestBody::empty()).unwrap();
    let response = client.clone().oneshot(request).await?;
    assert_eq!(response.status(), StatusCode::OK);
    Ok(String::from_utf8(
        response
            .into_body()
            .collect()
            .await
            .unwrap()
            .to_bytes()
            .to_vec(),
    )
    .unwrap())
}

fn origin(uri: &str) -> Uri {
    uri.parse().unwrap()
}

#[tokio::test]
async fn the_handshake_chooses_http2_where_both_sides_have_it() {
    for (server, http, expected) in [
        (["h2", "http/1.1"], HttpVersion::Auto, Version::HTTP_2),
        (["h2", "http/1.1"], HttpVersion::Http1, Version::HTTP_11),
        (["h2", "http/1.1"], HttpVersion::Http2, Version::HTTP_2),
        (
            ["http/1.1", "http/1.0"],
            HttpVersion::Auto,
            Version::HTTP_11,
        ),
    ] {
        let certificate = Certificate::new(&server);
        let (port, _) = upstream(Some(certificate.acceptor.clone())).await;
        let uri = format!("https://localhost:{port}/v1");
        let client = config(&certificate, http).build(&origin(&uri)).unwrap();
        let path = if expected == Version::HTTP_2 {
            uri.as_str()
        } else {
            "/v1"
        };
        assert_eq!(
            get(&client, &uri).await.unwrap(),
            format!("{expected:?} {path} -"),
            "{http:?} {server:?}"
        );
    }
}

#[tokio::test]
async fn a_certificate_that_nobody_vouches_for_is_refused_before_anything_is_sent() {
    let certificate = Certificate::new(&["http/1.1"]);
    let (port, _) = upstream(Some(certificate.acceptor.clone())).await;
    let uri = format!("https://localhost:{port}/");
    let client = ClientConfig {
        proxy: ProxyConfig::None,
        ..ClientConfig::default()
    }
    .build(&origin(&uri))
    .unwrap();
    let error = TransportError::new(get(&client, &uri).await.unwrap_err());
    assert_eq!((error.phase(), error.is_timeout()), (Phase::Connect, false));
}

#[tokio::test]
async fn a_handshake_that_does_not_end_is_a_timeout_while_connecting() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let uri = format!(
        "https://127.0.0.1:{}/",
        listener.local_addr().unwrap().port()
    );
    let config = ClientConfig {
        connect_timeout: Duration::from_millis(50),
        ..ClientConfig::default()
    };
    let client = config.build(&origin(&uri)).unwrap();
    let error = TransportError::new(get(&client, &uri).await.unwrap_err());
    assert_eq!((error.phase(), error.is_timeout()), (Phase::Connect, true));
}

#[tokio::test]
async fn plain_http_2_is_spoken_where_it_is_asked_for() {
    let (port, _) = upstream(None).await;
    let uri = format!("http://127.0.0.1:{port}/v1");
    let config = ClientConfig {
        http: HttpVersion::Http2,
        ..ClientConfig::default()
    };
    let client = config.build(&origin(&uri)).unwrap();
    assert_eq!(
        get(&client, &uri).await.unwrap(),
        format!("HTTP/2.0 {uri} -")
    );
}

#[tokio::test]
async fn each_pool_keeps_one_http2_connection() {
    for (connections, expected) in [(1, 1), (3, 3)] {
        let (port, taken) = upstream(None).await;
        let uri = format!("http://127.0.0.1:{port}/v1");
        let config = ClientConfig {
            http: HttpVersion::Http2,
            connections,
            ..ClientConfig::default()
        };
        let client = config.build(&origin(&uri)).unwrap();
        for _ in 0..7 {
            get(&client, &uri).await.unwrap();
        }
        assert_eq!(taken.load(Ordering::SeqCst), expected);
    }
}

#[tokio::test]
async fn http1_connections_are_used_again_and_made_as_needed() {
    let (port, taken) = upstream(None).await;
    let uri = format!("http://127.0.0.1:{port}/v1");
    let client = ClientConfig::default().build(&origin(&uri)).unwrap();
    for _ in 0..5 {
        get(&client, &uri).await.unwrap();
        // Lets the connection go back to the pool.
        tokio::task::yield_now().await;
    }
    let one_by_one = taken.load(Ordering::SeqCst);
    assert!(
        one_by_one < 5,
        "{one_by_one} connections for 5 requests, one after the other"
    );
}

/// A proxy that makes tunnels to this machine, and answers itself what else it is asked. What it was asked is kept.
async fn proxy(certificate: Option<TlsAcceptor>) -> (u16, Arc<Mutex<Vec<String>>>) {
    async fn tunnel<IO: AsyncRead + AsyncWrite + Unpin>(
        stream: IO,
        asked: Arc<Mutex<Vec<String>>>,
    ) {
        let mut stream = BufReader::new(stream);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if stream.read_line(&mut head).await.unwrap_or(0) == 0 {
                return;
            }
        }
        asked.lock().unwrap().push(head.clone());
        match head
            .strip_prefix("CONNECT ")
            .and_then(|rest| rest.split(' ').next())
        {
            Some(to) => {
                let port: u16 = to.rsplit(':').next().unwrap().parse().unwrap();
                let mut upstream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
                stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
                let _ = copy_bidirectional(&mut stream, &mut upstream).await;
            }
            None => stream
                .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nproxy")
                .await
                .unwrap(),
        }
    }

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let asked = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&asked);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (seen, certificate) = (Arc::clone(&seen), certificate.clone());
            tokio::spawn(async move {
                match certificate {
                    None => tunnel(stream, seen).await,
                    Some(tls) => tunnel(tls.accept(stream).await.unwrap(), seen).await,
                }
            });
        }
    });
    (port, asked)
}

#[tokio::test]
async fn an_https_upstream_is_reached_through_a_tunnel_in_which_the_proxy_sees_nothing() {
    let certificate = Certificate::new(&["h2", "http/1.1"]);
    let (port, _) = upstream(Some(certificate.acceptor.clone())).await;
    // Where the proxy wants TLS itself, there is TLS within TLS.
    for tls in [None, Some(certificate.acceptor.clone())] {
        let scheme = if tls.is_some() { "https" } else { "http" };
        let (proxy_port, asked) = proxy(tls).await;
        let uri = format!("https://localhost:{port}/v1/secret");
        let url = format!("{scheme}://user:pass@localhost:{proxy_port}");
        let config = ClientConfig {
            proxy: ProxyConfig::Url(url),
            ..config(&certificate, HttpVersion::Auto)
        };
        let client = config.build(&origin(&uri)).unwrap();

        assert_eq!(
            get(&client, &uri).await.unwrap(),
            format!("HTTP/2.0 {uri} -")
        );
        let asked = asked.lock().unwrap().concat();
        assert!(
            asked.starts_with(&format!("CONNECT localhost:{port} HTTP/1.1\r\n")),
            "{asked}"
        );
        assert!(
            asked.contains("Proxy-Authorization: Basic dXNlcjpwYXNz\r\n"),
            "{asked}"
        );
        assert!(!asked.contains("secret"), "{asked}");
    }
}

#[tokio::test]
async fn an_http_upstream_is_asked_of_the_proxy_by_its_whole_uri() {
    let (proxy_port, asked) = proxy(None).await;
    let url = format!("http://user:pass@127.0.0.1:{proxy_port}");
    let config = ClientConfig {
        proxy: ProxyConfig::Url(url),
        ..ClientConfig::default()
    };
    let client = config.build(&origin("http://upstream.test/v1")).unwrap();
    assert_eq!(
        get(&client, "http://upstream.test/v1/models")
            .await
            .unwrap(),
        "proxy"
    );
    let asked = asked.lock().unwrap().concat();
    assert!(
        asked.starts_with("GET http://upstream.test/v1/models HTTP/1.1\r\n"),
        "{asked}"
    );
    assert!(
        asked.contains("proxy-authorization: Basic dXNlcjpwYXNz\r\n"),
        "{asked}"
    );
    assert!(asked.contains("host: upstream.test\r\n"), "{asked}");
}

#[tokio::test]
async fn requests_at_the_same_time_have_http1_connections_of_their_own() {
    const REQUESTS: usize = 4;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let uri = format!("http://{}/", listener.local_addr().unwrap());
    // Nobody is answered before all are there.
    let barrier = Arc::new(Barrier::new(REQUESTS));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let barrier = Arc::clone(&barrier);
            tokio::spawn(async move {
                barrier.wait().await;
                serve(stream).await;
            });
        }
    });
    let client = ClientConfig::default().build(&origin(&uri)).unwrap();
    let mut asking = tokio::task::JoinSet::new();
    for _ in 0..REQUESTS {
        let (client, uri) = (client.clone(), uri.clone());
        asking.spawn(async move { get(&client, &uri).await.unwrap() });
    }
    assert_eq!(asking.join_all().await, ["HTTP/1.1 / -"; REQUESTS]);
}
