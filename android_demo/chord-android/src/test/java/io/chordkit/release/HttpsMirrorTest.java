package io.chordkit.release;

import static org.junit.Assert.assertArrayEquals;
import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertNull;
import static org.junit.Assert.assertTrue;

import io.chordkit.Attempt;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import org.junit.After;
import org.junit.Before;
import org.junit.Test;

/** Files from a real server on this machine, which answers as web servers do, or worse. */
public final class HttpsMirrorTest {
  private final List<String> asked = Collections.synchronizedList(new ArrayList<String>());
  private ServerSocket server;
  private volatile String answer = "";
  private volatile boolean drips;

  @Before
  public void serve() throws IOException {
    server = new ServerSocket(0, 50, InetAddress.getByName("127.0.0.1"));
    Thread thread =
        new Thread() {
          @Override
          public void run() {
            while (!server.isClosed()) {
              try (Socket socket = server.accept()) {
                answer(socket);
              } catch (IOException gone) {
                continue; // the client has enough, or the test is over
              }
            }
          }
        };
    thread.setDaemon(true);
    thread.start();
  }

  @After
  public void end() throws IOException {
    server.close();
  }

  private void answer(Socket socket) throws IOException {
    StringBuilder head = new StringBuilder();
    InputStream in = socket.getInputStream();
    for (int each = in.read(); each >= 0 && head.indexOf("\r\n\r\n") < 0; each = head.indexOf("\r\n\r\n") < 0 ? in.read() : -1) {
      head.append((char) each);
    }
    asked.add(head.toString());
    OutputStream out = socket.getOutputStream();
    out.write(answer.getBytes(StandardCharsets.ISO_8859_1));
    out.flush();
    while (drips) {
      out.write('x');
      out.flush();
      pause();
    }
  }

  @Test
  public void aFileIsItsBytes() throws IOException {
    answer = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\n\u0000\u00ff{}";
    assertArrayEquals(new byte[] {0, -1, '{', '}'}, all(mirror("/shop").fetch("metadata/timestamp.json", 100)));
    assertArrayEquals(new byte[] {0, -1, '{', '}'}, all(mirror("/shop/").fetch("metadata/timestamp.json", 100)));
    for (String head : asked) {
      assertTrue(head, head.startsWith("GET /shop/metadata/timestamp.json HTTP/1.1\r\n"));
      assertTrue(head, head.contains("\r\nAccept-Encoding: identity\r\n"));
    }
    try (InputStream stream = mirror("").fetch("a", 4)) {
      assertEquals(0, stream.read());
      assertEquals(255, stream.read());
    }
  }

  @Test
  public void whatIsNotThereIsNothingAndEverythingElseIsAnError() throws Exception {
    for (String status : new String[] {"404 Not Found", "403 Forbidden", "410 Gone"}) {
      answer = "HTTP/1.1 " + status + "\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno";
      assertNull(mirror("").fetch("a", 100));
    }
    refused("HTTP/1.1 500 Oh\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", "/a: the server answered 500");
    refused("HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", "answered 302");
    assertEquals(5, asked.size());
    server.close();
    refused("", "");
  }

  @Test
  public void aServerThatDripsIsLeft() throws Exception {
    answer = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n";
    drips = true;
    try {
      new Attempt() {
        @Override
        public void run() throws Exception {
          all(new HttpsMirror("http://127.0.0.1:" + server.getLocalPort(), 300).fetch("a", 0));
        }
      }.assertThrowsWith(IOException.class, "the server is too slow");
    } finally {
      drips = false;
    }
  }

  @Test
  public void withoutTlsThereIsThisMachineAlone() {
    for (final String address : new String[] {"http://cdn.example/shop", "ftp://cdn.example", "cdn.example", "http://localhost.example/"}) {
      new Attempt() {
        @Override
        public void run() {
          new HttpsMirror(address);
        }
      }.assertThrowsWith(IllegalArgumentException.class, address, "https://");
    }
    new HttpsMirror("https://cdn.example/shop");
    new HttpsMirror("http://localhost:8080/shop");
  }

  private void refused(String wrong, String words) {
    answer = wrong;
    new Attempt() {
      @Override
      public void run() throws Exception {
        try {
          mirror("").fetch("a", 100);
        } catch (IOException refused) {
          throw new IOException(refused.getMessage());
        }
      }
    }.assertThrowsWith(IOException.class, words);
  }

  private HttpsMirror mirror(String path) {
    return new HttpsMirror("http://127.0.0.1:" + server.getLocalPort() + path);
  }

  private static byte[] all(InputStream stream) throws IOException {
    try (InputStream from = stream) {
      ByteArrayOutputStream all = new ByteArrayOutputStream();
      for (int each = from.read(); each >= 0; each = from.read()) {
        all.write(each);
      }
      return all.toByteArray();
    }
  }

  private static void pause() {
    try {
      Thread.sleep(10);
    } catch (InterruptedException goOn) {
      Thread.currentThread().interrupt();
    }
  }
}
