package io.chordkit.demo.logic;

import io.chordkit.annotation.Nullable;
import java.io.BufferedWriter;
import java.io.Closeable;
import java.io.File;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.OutputStreamWriter;
import java.io.Writer;
import java.nio.charset.StandardCharsets;
import java.util.List;

/** What a run found, in the format of chordkit's own runner (docs/benchmarking.md): one JSON object a line, in ASCII. */
final class BenchmarkRecords implements Closeable {
  private static final int VERSION = 1;

  private final FileOutputStream file;
  private final Writer out;
  private boolean empty;

  BenchmarkRecords(File path) throws IOException {
    file = new FileOutputStream(path);
    out = new BufferedWriter(new OutputStreamWriter(file, StandardCharsets.US_ASCII), 1 << 16);
  }

  void start(DeviceFacts device, String variant, String mode) throws IOException {
    begin("start");
    number("version", VERSION);
    text("program", device.application);
    text("abi", device.abi);
    text("runtime", "libchord");
    text("variant", variant);
    number("pid", device.process);
    name("cpus");
    list(device.processors);
    number("threads", 1);
    text("mode", mode);
    end();
  }

  void app(
      String run,
      DeviceFacts device,
      String bundleSha256,
      long counter,
      String fingerprint,
      BenchmarkRequest request,
      @Nullable String strategySha256)
      throws IOException {
    begin("app");
    number("version", VERSION);
    text("run", run);
    text("package", device.application);
    text("app_version", device.appVersion);
    flag("debuggable", device.debuggable);
    number("sdk", device.sdk);
    flag("sustained", device.sustained);
    text("bundle_sha256", bundleSha256);
    number("bundle_counter", counter);
    text("fingerprint", fingerprint);
    text("strategy", request.strategy);
    text("strategy_sha256", strategySha256);
    text("user", request.user);
    end();
  }

  void load(long nanoseconds) throws IOException {
    begin("load");
    microseconds("us", nanoseconds);
    text("runtime_us", null);
    end();
  }

  void adopt(long[] nanoseconds) throws IOException {
    begin("adopt");
    microseconds("us", nanoseconds, nanoseconds.length);
    end();
  }

  void first(long nanoseconds) throws IOException {
    begin("first");
    microseconds("us", nanoseconds);
    end();
  }

  void checked(int users, int candidates) throws IOException {
    begin("checked");
    number("users", users);
    number("candidates", candidates);
    end();
  }

  void warmUp(WarmUp warmUp) throws IOException {
    begin("warmup");
    number("calls", warmUp.calls());
    seconds("seconds", warmUp.seconds());
    flag("converged", warmUp.converged());
    end();
  }

  /**
   * @param at seconds since the measuring began
   * @param nanoseconds of samples; {@code count} of them
   */
  void block(double at, int batch, long[] nanoseconds, int count) throws IOException {
    begin("block");
    seconds("at_s", at);
    number("batch", batch);
    microseconds("us", nanoseconds, count);
    end();
  }

  void finish(long samples, double seconds) throws IOException {
    begin("end");
    number("samples", samples);
    seconds("seconds", seconds);
    end();
    out.flush();
    file.getFD().sync();
  }

  @Override
  public void close() throws IOException {
    out.close();
  }

  private void begin(String event) throws IOException {
    out.write('{');
    empty = true;
    text("event", event);
  }

  private void end() throws IOException {
    out.write("}\n");
  }

  private void name(String name) throws IOException {
    out.write(empty ? "\"" : ",\"");
    empty = false;
    out.write(name);
    out.write("\":");
  }

  private void number(String name, long value) throws IOException {
    name(name);
    out.write(Long.toString(value));
  }

  private void flag(String name, boolean value) throws IOException {
    name(name);
    out.write(Boolean.toString(value));
  }

  private void seconds(String name, double value) throws IOException {
    name(name);
    decimal(Math.round(value * 1e6), 1000000);
  }

  private void microseconds(String name, long nanoseconds) throws IOException {
    name(name);
    decimal(nanoseconds, 1000);
  }

  private void microseconds(String name, long[] nanoseconds, int count) throws IOException {
    name(name);
    for (int i = 0; i < count; i++) {
      out.write(i == 0 ? '[' : ',');
      decimal(nanoseconds[i], 1000);
    }
    out.write(count == 0 ? "[]" : "]");
  }

  /** {@code value / unit} with all its decimals; the unit is a power of ten. Not by way of a locale, nor of a new text for each part. */
  private void decimal(long value, int unit) throws IOException {
    out.write(Long.toString(value / unit));
    int rest = (int) (value % unit);
    out.write('.');
    for (int digit = unit / 10; digit > 0; digit /= 10) {
      out.write('0' + rest / digit % 10);
    }
  }

  private void list(List<Integer> values) throws IOException {
    out.write('[');
    for (int i = 0; i < values.size(); i++) {
      out.write((i == 0 ? "" : ",") + values.get(i));
    }
    out.write(']');
  }

  private void text(String name, @Nullable String value) throws IOException {
    name(name);
    if (value == null) {
      out.write("null");
      return;
    }
    out.write('"');
    for (int i = 0; i < value.length(); i++) {
      char each = value.charAt(i);
      if (each == '"' || each == '\\') {
        out.write('\\');
        out.write(each);
      } else if (each >= ' ' && each <= '~') {
        out.write(each);
      } else {
        out.write("\\u");
        for (int shift = 12; shift >= 0; shift -= 4) {
          out.write(Character.forDigit(each >> shift & 15, 16));
        }
      }
    }
    out.write('"');
  }
}
