package io.chordkit.release;

import io.chordkit.annotation.Nullable;
import java.io.FilterInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.net.HttpURLConnection;
import java.net.URL;

/**
 * A mirror that is a folder of static files on a web server. It follows no redirection, asks for bytes as they are, and gives up on a server
 * that is slow: what comes must come at 8 KiB a second, after half a minute.
 */
public final class HttpsMirror implements Mirror {
  private static final int CONNECT_MS = 10000;
  private static final int READ_MS = 20000;
  private static final long PATIENCE_MS = 30000;
  private static final long LEAST_BYTES_A_MS = 8;

  private final String folder;
  private final long patienceMs;

  /**
   * @param address of the channel's folder: {@code https://cdn.example/shop}; without TLS only this machine itself, for tests
   */
  public HttpsMirror(String address) {
    this(address, PATIENCE_MS);
  }

  HttpsMirror(String address, long patienceMs) {
    if (!address.startsWith("https://") && !address.matches("http://(localhost|127\\.0\\.0\\.1)(:[0-9]+)?(/.*)?")) {
      throw new IllegalArgumentException(address + ": is no address of a mirror; give one that begins with https://");
    }
    this.folder = address.endsWith("/") ? address : address + "/";
    this.patienceMs = patienceMs;
  }

  @Override
  @Nullable
  public InputStream fetch(String path, long most) throws IOException {
    final long end = System.nanoTime() + 1000000 * (patienceMs + most / LEAST_BYTES_A_MS);
    final HttpURLConnection connection = (HttpURLConnection) new URL(folder + path).openConnection();
    connection.setConnectTimeout(CONNECT_MS);
    connection.setReadTimeout((int) Math.min(READ_MS, patienceMs));
    connection.setUseCaches(false);
    connection.setInstanceFollowRedirects(false);
    connection.setRequestProperty("Accept-Encoding", "identity");
    int status = connection.getResponseCode();
    if (status == HttpURLConnection.HTTP_OK) {
      return new Timely(connection, end);
    }
    connection.disconnect();
    if (status == HttpURLConnection.HTTP_NOT_FOUND || status == HttpURLConnection.HTTP_FORBIDDEN || status == HttpURLConnection.HTTP_GONE) {
      return null; // stores of files forbid what is not there
    }
    throw new IOException(folder + path + ": the server answered " + status);
  }

  /** Ends with an error when its time is over. */
  private final class Timely extends FilterInputStream {
    private final HttpURLConnection connection;
    private final long end;

    Timely(HttpURLConnection connection, long end) throws IOException {
      super(connection.getInputStream());
      this.connection = connection;
      this.end = end;
    }

    @Override
    public int read() throws IOException {
      byte[] one = new byte[1];
      return read(one, 0, 1) < 0 ? -1 : one[0] & 0xff;
    }

    @Override
    public int read(byte[] into, int offset, int length) throws IOException {
      if (System.nanoTime() - end > 0) {
        throw new IOException(connection.getURL() + ": the server is too slow");
      }
      return super.read(into, offset, length);
    }

    @Override
    public void close() {
      connection.disconnect(); // what was not read is not waited for
    }
  }
}
