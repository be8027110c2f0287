package io.chordkit.demo.logic;

import static org.junit.Assert.assertArrayEquals;
import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertFalse;
import static org.junit.Assert.assertNotNull;
import static org.junit.Assert.assertNull;
import static org.junit.Assert.assertTrue;
import static org.junit.Assert.fail;

import io.chordkit.Bundle;
import io.chordkit.ChordException;
import io.chordkit.Engine;
import io.chordkit.TestVectors;
import java.io.File;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.FloatBuffer;
import java.nio.file.Files;
import java.security.MessageDigest;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.regex.Pattern;
import org.json.JSONArray;
import org.json.JSONObject;
import org.junit.After;
import org.junit.Before;
import org.junit.Test;

public class BenchmarkTest {
  private static final String RUN = "0123456789abcdef";
  private static final DeviceFacts DEVICE =
      new DeviceFacts("io.chordkit.demo", "1.2 \"é\"\n", "x86_64", 0, 4321, true, false, Arrays.asList(0, 3));

  private File folder;

  @Before
  public void makeFolder() throws IOException {
    folder = Files.createTempDirectory("bench").toFile();
    for (String bundle : new String[] {"sasrec.chord", "users.chord"}) {
      Files.copy(TestFiles.file(bundle).toPath(), new File(folder, bundle).toPath());
    }
  }

  @After
  public void removeFolder() throws IOException {
    TestFiles.delete(folder);
  }

  private static Map<String, Object> extras(Object... more) throws IOException {
    Map<String, Object> extras = new HashMap<String, Object>();
    extras.put("bundle", "sasrec.chord");
    extras.put("key", Hexadecimal.of(TestFiles.bytes("key.raw")));
    extras.put("run", RUN);
    for (int i = 0; i < more.length; i += 2) {
      extras.put((String) more[i], more[i + 1]);
    }
    return extras;
  }

  private BenchmarkResult run(Map<String, ?> extras) throws Exception {
    return Benchmark.run(folder, extras, DEVICE, TestFiles.ED25519, Progress.SILENT);
  }

  private List<JSONObject> records() throws Exception {
    String text = TestFiles.text(new File(folder, RUN + ".jsonl"));
    assertTrue(text.endsWith("\n"));
    List<JSONObject> records = new ArrayList<JSONObject>();
    for (String line : text.split("\n")) {
      assertTrue(line, Pattern.matches("[ -~]+", line));
      records.add(new JSONObject(line));
    }
    return records;
  }

  private static List<String> events(List<JSONObject> records) throws Exception {
    List<String> events = new ArrayList<String>();
    for (JSONObject record : records) {
      String event = record.getString("event");
      if (!event.equals("block") || events.isEmpty() || !events.get(events.size() - 1).equals("block")) {
        events.add(event);
      }
    }
    return events;
  }

  private static String fields(JSONObject record) throws Exception {
    List<String> names = new ArrayList<String>();
    JSONArray all = record.names();
    for (int i = 0; i < all.length(); i++) {
      names.add(all.getString(i));
    }
    return names.toString();
  }

  private static String sha256(byte[] data) throws Exception {
    return Hexadecimal.of(MessageDigest.getInstance("SHA-256").digest(data));
  }

  @Test
  public void theRecordsAreThoseOfChordkitsRunnerInTheirOrder() throws Exception {
    BenchmarkResult result = run(extras("strategy", "mixed", "iterations", 200, "block_ms", 1, "adoptions", 7));
    List<JSONObject> records = records();
    assertEquals(
        Arrays.asList("start", "app", "load", "adopt", "first", "checked", "warmup", "block", "end"), events(records));
    JSONObject start = records.get(0);
    assertEquals("[event, version, program, abi, runtime, variant, pid, cpus, threads, mode]", fields(start));
    assertEquals("io.chordkit.demo", start.getString("program"));
    assertEquals("x86_64", start.getString("abi"));
    assertEquals("libchord", start.getString("runtime"));
    assertEquals(result.variant, start.getString("variant"));
    assertEquals(4321, start.getInt("pid"));
    assertEquals("[0,3]", start.getJSONArray("cpus").toString());
    assertEquals(1, start.getInt("threads"));
    assertEquals("saturated", start.getString("mode"));
    JSONObject app = records.get(1);
    assertEquals(
        "[event, version, run, package, app_version, debuggable, sdk, sustained, bundle_sha256, bundle_counter, fingerprint, strategy, "
            + "strategy_sha256, user]",
        fields(app));
    assertEquals(RUN, app.getString("run"));
    assertEquals("1.2 \"é\"\n", app.getString("app_version"));
    assertTrue(app.getBoolean("debuggable"));
    assertFalse(app.getBoolean("sustained"));
    assertEquals(0, app.getInt("sdk"));
    assertEquals(sha256(TestFiles.bytes("sasrec.chord")), app.getString("bundle_sha256"));
    assertEquals(5, app.getInt("bundle_counter"));
    assertEquals("mixed", app.getString("strategy"));
    assertEquals(sha256(TestFiles.bytes("sasrec/strategies/mixed.chrd")), app.getString("strategy_sha256"));
    assertTrue(app.isNull("user"));
    assertEquals("[event, us, runtime_us]", fields(records.get(2)));
    assertTrue(records.get(2).getDouble("us") > 0 && records.get(2).isNull("runtime_us"));
    assertEquals(7, records.get(3).getJSONArray("us").length());
    assertEquals(7, result.adoption == null ? 0 : result.adoption.calls());
    assertEquals(result.first, records.get(4).getDouble("us"), 1e-9);
    assertEquals(12, records.get(5).getInt("users"));
    assertEquals(20, records.get(5).getInt("candidates"));
    assertEquals(result.warmUp.calls(), records.get(6).getInt("calls"));
    assertEquals(result.warmUp.converged(), records.get(6).getBoolean("converged"));
  }

  @Test
  public void theBlocksAddUp() throws Exception {
    BenchmarkResult result = run(extras("iterations", 500, "least_ms", 100, "block_ms", 2));
    List<JSONObject> records = records();
    assertEquals(Arrays.asList("start", "app", "load", "first", "checked", "warmup", "block", "end"), events(records));
    assertTrue(records.get(1).isNull("strategy") && records.get(1).isNull("strategy_sha256"));
    assertNull(result.adoption);
    JSONObject end = records.get(records.size() - 1);
    int samples = 0;
    double last = -1;
    long[] all = new long[end.getInt("samples")];
    for (JSONObject block : records.subList(6, records.size() - 1)) {
      assertEquals("[event, at_s, batch, us]", fields(block));
      assertEquals(records.get(6).getInt("batch"), block.getInt("batch"));
      assertTrue(block.getDouble("at_s") > last);
      last = block.getDouble("at_s");
      JSONArray us = block.getJSONArray("us");
      assertTrue(us.length() > 0 && us.length() <= 65536);
      for (int i = 0; i < us.length(); i++) {
        assertTrue(us.getDouble(i) >= 0);
        all[samples++] = Math.round(us.getDouble(i) * 1000);
      }
    }
    assertEquals(all.length, samples);
    assertEquals(samples, result.latency.calls());
    assertTrue(samples >= 500 && end.getDouble("seconds") >= 0.1 && end.getDouble("seconds") > last);
    for (double percent : new double[] {50, 90, 99}) {
      assertEquals(new Latency(all).percentile(percent), result.latency.percentile(percent), 1e-9);
    }
  }

  @Test
  public void theScoresAreTheEnginesBitForBit() throws Exception {
    for (String strategy : new String[] {"mixed", "off"}) {
      run(extras("strategy", strategy, "iterations", 1));
      FloatBuffer found =
          ByteBuffer.wrap(TestFiles.bytes(new File(folder, RUN + ".f32"))).order(ByteOrder.LITTLE_ENDIAN).asFloatBuffer();
      Bundle bundle = Bundle.map(TestFiles.file("sasrec.chord"), TestFiles.keys(), TestFiles.ED25519, 0);
      Engine engine = bundle.engine();
      engine.adopt(bundle.strategy(strategy));
      TestVectors vectors = bundle.testVectors();
      assertEquals(vectors.count() * vectors.candidates(), found.remaining());
      FloatBuffer wanted = io.chordkit.Buffers.floatsOf(vectors.candidates());
      for (int row = 0; row < vectors.count(); row++) {
        engine.rerank(vectors.history(row), vectors.candidates(row), wanted);
        for (int i = 0; i < wanted.capacity(); i++) {
          assertEquals(Float.floatToRawIntBits(wanted.get(i)), Float.floatToRawIntBits(found.get()));
        }
      }
      engine.close();
    }
  }

  @Test
  public void aUserVectorIsAdopted() throws Exception {
    run(extras("bundle", "users.chord", "strategy", "mixed", "iterations", 1));
    byte[] nobody = TestFiles.bytes(new File(folder, RUN + ".f32"));
    run(extras("bundle", "users.chord", "strategy", "mixed", "user", "stranger", "iterations", 1));
    assertFalse(Arrays.equals(nobody, TestFiles.bytes(new File(folder, RUN + ".f32"))));
    assertEquals("stranger", records().get(1).getString("user"));
  }

  @Test
  public void coldCallsAreOneSampleEach() throws Exception {
    BenchmarkResult result = run(extras("mode", "cold", "iterations", 5, "block_ms", 1));
    List<JSONObject> records = records();
    assertEquals("cold", records.get(0).getString("mode"));
    assertEquals(1, records.get(6).getInt("batch"));
    assertTrue(result.latency.calls() >= 5);
    // Reading 64 MB takes longer than a block, so that none has room for two.
    for (JSONObject block : records.subList(6, records.size() - 1)) {
      assertEquals(1, block.getJSONArray("us").length());
    }
  }

  @Test
  public void shortCallsAreTakenTogether() throws Exception {
    BenchmarkResult result = run(extras("iterations", 100));
    int batch = records().get(6).getInt("batch");
    double mean = result.warmUp.lastMean();
    assertEquals(mean >= 10000 ? 1 : (int) Math.ceil(10000 / mean), batch);
  }

  @Test
  public void theTimeThatIsAllowedEndsIt() throws Exception {
    run(extras("iterations", 1000000, "most_ms", 300));
    JSONObject end = records().get(records().size() - 1);
    assertTrue(end.getInt("samples") < 1000000);
    assertTrue(end.getDouble("seconds") >= 0.3 && end.getDouble("seconds") < 5);
  }

  @Test
  public void aLongRunLeavesOutWhatItsFileHasNoRoomFor() throws Exception {
    // As dense as an hour may be, for a moment: 2,000,000 samples and 150,000 blocks over it, so some hundred in half a second.
    run(extras("iterations", 100, "least_ms", 500, "most_ms", 3600000, "block_ms", 1));
    int samples = records().get(records().size() - 1).getInt("samples");
    assertTrue(samples + " samples", samples < 2000);
  }

  @Test
  public void withoutARunNothingIsWritten() throws Exception {
    Map<String, Object> extras = extras("iterations", 10);
    extras.remove("run");
    BenchmarkResult result = run(extras);
    assertTrue(result.latency.calls() >= 10 && result.load > 0);
    assertEquals(2, names().size());
  }

  @Test
  public void aRefusalIsOneSentenceInAFileOfItsOwn() throws Exception {
    TestFiles.write(new File(folder, "changed.chord"), TestFiles.bytes("refused/changed.chord"));
    TestFiles.write(new File(folder, "other.chord"), TestFiles.bytes("refused/other.chord"));
    Object[][] bad = {
      {"bundle", "changed.chord", ""},
      {"bundle", "other.chord", ""},
      {"bundle", "absent.chord", new File(folder, "absent.chord") + ": there is no such file; push the bundle there"},
      {"bundle", "../x.chord", "extra bundle: it must be a file name without a path"},
      {"key", Hexadecimal.of(TestFiles.bytes("other.raw")), ""},
      {"strategy", "nobody", "the bundle has no member 'strategies/nobody.chrd'"},
      {"user", "nobody", "the bundle has no member 'user_vectors/nobody.chru'"},
      {"iterations", 0, "extra iterations: it must be a whole number of 1 to 1000000"},
    };
    for (Object[] each : bad) {
      Map<String, Object> extras = extras((String) each[0], each[1]);
      try {
        run(extras);
        fail(each[0] + " " + each[1]);
      } catch (ChordException | IOException expected) {
        String sentence = TestFiles.text(new File(folder, RUN + ".error"));
        assertEquals(expected.getMessage(), sentence);
        assertTrue(sentence, sentence.startsWith((String) each[2]));
      }
      assertTrue(new File(folder, RUN + ".error").delete());
      assertEquals("[changed.chord, other.chord, sasrec.chord, users.chord]", names().toString());
    }
  }

  @Test
  public void aRunThatIsNoneWritesNothing() throws Exception {
    try {
      run(extras("run", "../../evil"));
      fail();
    } catch (DemoException expected) {
      assertTrue(expected.getMessage().startsWith("extra run: "));
    }
    assertEquals("[sasrec.chord, users.chord]", names().toString());
  }

  @Test
  public void anInterruptedRunLeavesNoHalfFile() throws Exception {
    final Thread runner = Thread.currentThread();
    Progress interrupting =
        new Progress() {
          @Override
          public void at(int done, int total) {
            runner.interrupt();
          }
        };
    try {
      Benchmark.run(folder, extras("iterations", 1000000), DEVICE, TestFiles.ED25519, interrupting);
      fail();
    } catch (InterruptedException expected) {
      assertNotNull(expected.getMessage());
    }
    assertEquals("[" + RUN + ".error, " + RUN + ".f32, sasrec.chord, users.chord]", names().toString());
  }

  @Test
  public void aBundleThatIsChangedLaterChangesNothing() throws Exception {
    ByteBuffer copy = BenchmarkFiles.read(folder, "sasrec.chord");
    byte[] whole = TestFiles.bytes("sasrec.chord");
    TestFiles.write(new File(folder, "sasrec.chord"), new byte[0]);
    byte[] found = new byte[copy.remaining()];
    copy.get(found);
    assertArrayEquals(whole, found);
  }

  private List<String> names() {
    String[] names = folder.list();
    Arrays.sort(names);
    return Arrays.asList(names);
  }
}
