use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::oneshot,
};

use super::*;

async fn exchange(stream: &mut TcpStream, extra_header: &str, close: bool) -> String {
    let body = chat("demo-small", json!({"stream": true})).to_string();
    let connection = if close { "close" } else { "keep-alive" };
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: demo\r\nauthorization: Bearer demo-key\r\n\
         connection: {connection}\r\n{extra_header}content-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(body.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn a_served_stream_has_one_http_chunk_per_event_and_a_cut_one_has_no_end() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let server = tokio::spawn(Demo::exact().serve(listener, async { drop(stopped.await) }));

    let mut stream = TcpStream::connect(address).await.unwrap();
    let whole = exchange(&mut stream, "", true).await;
    assert_eq!(
        whole.matches("\r\ndata: ").count(),
        whole.matches("data: ").count()
    );
    assert!(whole.ends_with("data: [DONE]\n\n\r\n0\r\n\r\n"), "{whole}");

    let mut stream = TcpStream::connect(address).await.unwrap();
    let cut = exchange(&mut stream, "x-demo-cut: 2\r\n", false).await;
    assert_eq!(cut.matches("data: ").count(), 2);
    assert!(!cut.ends_with("0\r\n\r\n"));

    stop.send(()).unwrap();
    server.await.unwrap();
    assert!(TcpStream::connect(address).await.is_err());
}
