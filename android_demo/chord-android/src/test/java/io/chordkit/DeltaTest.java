package io.chordkit;

import static org.junit.Assert.assertArrayEquals;
import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertTrue;

import java.io.ByteArrayOutputStream;
import java.io.File;
import java.io.IOException;
import java.io.OutputStream;
import java.io.RandomAccessFile;
import java.nio.ByteBuffer;
import java.security.MessageDigest;
import org.json.JSONArray;
import org.json.JSONObject;
import org.junit.Test;

/** Differences between bundles: the golden files that Python and C read too (tests/golden/differences.py), and one between two bundles. */
public final class DeltaTest {
  private static byte[] bytes(String hex) {
    byte[] found = new byte[hex.length() / 2];
    for (int i = 0; i < found.length; i++) {
      found[i] = (byte) Integer.parseInt(hex.substring(2 * i, 2 * i + 2), 16);
    }
    return found;
  }

  private static JSONObject golden() throws Exception {
    return new JSONObject(Material.text("deltas/difference.json"));
  }

  private static JSONObject accepted(String name) throws Exception {
    JSONArray cases = golden().getJSONArray("accepted");
    for (int i = 0; i < cases.length(); i++) {
      if (cases.getJSONObject(i).getString("case").equals(name)) {
        return cases.getJSONObject(i);
      }
    }
    throw new AssertionError(name);
  }

  private static byte[] base(JSONObject about) throws Exception {
    ByteArrayOutputStream all = new ByteArrayOutputStream();
    for (int i = 0; i < about.getInt("times"); i++) {
      all.write(bytes(about.getString("base")));
    }
    return all.toByteArray();
  }

  /** By way of a file, behind what it has already. */
  private static byte[] applied(byte[] base, byte[] data, long largest) throws Exception {
    File file = File.createTempFile("delta", ".chord");
    try (RandomAccessFile out = new RandomAccessFile(file, "rw")) {
      out.write(new byte[3]);
      Delta.read(ByteBuffer.wrap(data), largest).apply(ByteBuffer.wrap(base), out.getChannel());
      byte[] written = new byte[(int) out.length() - 3];
      out.seek(3);
      out.readFully(written);
      return written;
    } finally {
      file.delete();
    }
  }

  private static String sha256(byte[] data) throws Exception {
    return Hex.of(MessageDigest.getInstance("SHA-256").digest(data));
  }

  /** Tries it, and says which check refused: "" = none. Only what comes of the stream is found after something was written. */
  private static String refusal(byte[] base, byte[] data, long largest) throws Exception {
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    try {
      Delta.read(ByteBuffer.wrap(data), largest).apply(ByteBuffer.wrap(base), out);
      return "";
    } catch (DeltaException refused) {
      String[] words = refused.getMessage().split(": ", 3);
      assertEquals("difference", words[0]);
      assertTrue(refused.getMessage(), words[2].endsWith("; fetch the whole bundle"));
      boolean late = words[1].equals("stream") || words[1].equals("result") || words[2].contains("read back");
      assertTrue(words[1], out.size() == 0 || late);
      return words[1];
    }
  }

  @Test
  public void theGoldenOnesAreApplied() throws Exception {
    JSONArray cases = golden().getJSONArray("accepted");
    assertTrue(cases.length() > 20);
    for (int i = 0; i < cases.length(); i++) {
      JSONObject each = cases.getJSONObject(i);
      byte[] result = applied(base(each), bytes(each.getString("bytes")), each.getLong("size"));
      assertEquals(each.getString("case"), each.getString("sha256"), sha256(result));
    }
  }

  @Test
  public void theGoldenOnesAreRefusedByTheCheckNamed() throws Exception {
    JSONObject refused = golden().getJSONObject("refused");
    JSONArray cases = refused.getJSONArray("cases");
    assertTrue(cases.length() > 40);
    for (int i = 0; i < cases.length(); i++) {
      JSONObject each = cases.getJSONObject(i);
      String check = refusal(bytes(refused.getString("base")), bytes(each.getString("bytes")), refused.getLong("largest"));
      assertEquals(each.getString("case"), each.getString("check"), check);
    }
    byte[] copied = bytes(accepted("copied").getString("bytes"));
    assertEquals("base", refusal(bytes(refused.getString("other base")), copied, 200));
  }

  @Test
  public void whatIsSaidAgainNeedsAFile() throws Exception {
    JSONObject about = accepted("said again");
    assertEquals("segments", refusal(base(about), bytes(about.getString("bytes")), 200));
  }

  @Test
  public void itSaysWhatItIsForAndWhatComesOfIt() throws Exception {
    JSONObject about = accepted("copied, added, literal");
    Delta delta = Delta.read(ByteBuffer.wrap(bytes(about.getString("bytes"))), 200);
    assertEquals(sha256(base(about)), Hex.of(delta.base()));
    assertEquals(about.getString("sha256"), Hex.of(delta.result()));
    assertEquals(base(about).length, delta.baseSize());
    assertEquals(about.getLong("size"), delta.resultSize());
  }

  @Test
  public void everyChangedBitIsRefused() throws Exception {
    JSONObject about = accepted("copied, added, literal");
    byte[] base = base(about);
    byte[] data = bytes(about.getString("bytes"));
    for (int bit = 0; bit < 8 * data.length; bit++) {
      byte[] changed = data.clone();
      changed[bit / 8] ^= (byte) (1 << bit % 8);
      assertTrue("bit " + bit, !refusal(base, changed, 200).isEmpty());
    }
  }

  @Test
  public void aBundleBecomesTheOtherFromMappedFilesAndFromAnyPosition() throws Exception {
    byte[] wanted = Material.bytes("users.chord");
    ByteBuffer data = ByteBuffer.allocateDirect(Material.bytes("deltas/bundles.chordd").length + 7);
    data.position(3);
    data.put(Material.bytes("deltas/bundles.chordd"));
    data.flip();
    data.position(3);
    Delta delta = Delta.read(data, wanted.length);
    for (int time = 0; time < 2; time++) {
      ByteArrayOutputStream out = new ByteArrayOutputStream();
      delta.apply(Material.map("sasrec.chord"), out);
      assertArrayEquals(wanted, out.toByteArray());
    }
    assertEquals(3, data.position());
  }

  @Test
  public void whatTheStreamThrowsComesThrough() throws Exception {
    final Delta delta = Delta.read(Material.map("deltas/bundles.chordd"), Long.MAX_VALUE);
    new Attempt() {
      @Override
      public void run() throws Exception {
        delta.apply(
            Material.map("sasrec.chord"),
            new OutputStream() {
              @Override
              public void write(int one) throws IOException {
                throw new IOException("the disk is full");
              }
            });
      }
    }.assertThrows(IOException.class, "the disk is full");
  }
}
