package io.chordkit;

import static org.junit.Assert.assertArrayEquals;
import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertFalse;
import static org.junit.Assert.assertTrue;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import org.json.JSONArray;
import org.json.JSONObject;
import org.junit.Test;

/** Master files: the golden ones that Python reads too (tests/golden/patches.py), damaged ones of the fuzzer's, and artifacts of real models. */
public final class MasterFileTest {
  private static byte[] bytes(JSONObject from, String key) throws Exception {
    String hex = from.getString(key);
    byte[] found = new byte[hex.length() / 2];
    for (int i = 0; i < found.length; i++) {
      found[i] = (byte) Integer.parseInt(hex.substring(2 * i, 2 * i + 2), 16);
    }
    return found;
  }

  private static JSONObject golden() throws Exception {
    return new JSONObject(Material.text("patches/patch.json"));
  }

  private static byte[] all(ByteBuffer buffer) {
    assertTrue(buffer.isDirect() && buffer.order() == ByteOrder.nativeOrder() && buffer.position() == 0);
    byte[] found = new byte[buffer.remaining()];
    buffer.get(found);
    return found;
  }

  /** Which check refused: "accepted" = none, and then the result is the wanted one. */
  private static String answer(byte[] file, byte[] strategy, byte[] wanted) throws Exception {
    try {
      assertArrayEquals(wanted, all(MasterFile.read(ByteBuffer.wrap(file)).patched(strategy)));
      return "accepted";
    } catch (PatchException refused) {
      String[] words = refused.getMessage().split(": ", 3);
      assertTrue(refused.getMessage(), words[0].equals("patch table") || words[0].equals("strategy"));
      return words[1];
    }
  }

  @Test
  public void theGoldenOnesBecomeTheUsers() throws Exception {
    JSONArray cases = golden().getJSONArray("accepted");
    for (int i = 0; i < cases.length(); i++) {
      byte[] file = bytes(cases.getJSONObject(i), "bytes");
      JSONArray made = cases.getJSONObject(i).getJSONArray("made");
      for (int j = 0; j < made.length(); j++) {
        JSONObject each = made.getJSONObject(j);
        assertEquals(each.getString("strategy"), "accepted", answer(file, bytes(each, "bytes"), bytes(each, "result")));
      }
    }
  }

  @Test
  public void theGoldenOnesAreRefusedByTheCheckNamed() throws Exception {
    JSONObject good = golden().getJSONArray("accepted").getJSONObject(0);
    byte[] strategy = bytes(good.getJSONArray("made").getJSONObject(0), "bytes");
    JSONArray files = golden().getJSONObject("refused").getJSONArray("files");
    assertTrue(files.length() > 30);
    for (int i = 0; i < files.length(); i++) {
      JSONObject each = files.getJSONObject(i);
      assertEquals(each.getString("case"), each.getString("check"), answer(bytes(each, "bytes"), strategy, null));
    }
    JSONArray strategies = golden().getJSONObject("refused").getJSONArray("strategies");
    for (int i = 0; i < strategies.length(); i++) {
      JSONObject each = strategies.getJSONObject(i);
      assertEquals(each.getString("case"), each.getString("check"), answer(bytes(good, "bytes"), bytes(each, "bytes"), null));
    }
  }

  @Test
  public void refusedStrategiesAreRefusedByTheCheckThatTheirGoldenVectorsName() throws Exception {
    JSONObject about = new JSONObject(Material.text("patches/strategy.json"));
    byte[] fingerprint = bytes(about, "fingerprint");
    JSONArray cases = about.getJSONObject("refused").getJSONArray("cases");
    assertTrue(cases.length() >= 10);
    for (int i = 0; i < cases.length(); i++) {
      JSONObject each = cases.getJSONObject(i);
      String found = "";
      try {
        StrategyWidths.of(bytes(each, "bytes"), fingerprint, about.getJSONObject("refused").getInt("channels"));
      } catch (PatchException refused) {
        found = refused.getMessage().split(": ", 3)[1];
      }
      assertEquals(each.getString("check"), found);
    }
  }

  @Test
  public void whatTheFuzzerMadeIsAnsweredAsPythonAnswersIt() throws Exception {
    JSONArray cases = new JSONArray(Material.text("patches/fuzzed.json"));
    assertTrue(cases.length() > 300);
    int accepted = 0;
    for (int i = 0; i < cases.length(); i++) {
      JSONObject each = cases.getJSONObject(i);
      String found = answer(bytes(each, "file"), bytes(each, "strategy"), bytes(each, "result"));
      assertEquals("case " + i, each.getString("answer"), found);
      accepted += found.equals("accepted") ? 1 : 0;
    }
    assertTrue(accepted > 30);
  }

  @Test
  public void aChangedBitOfAnyByteIsRefused() throws Exception {
    JSONObject good = golden().getJSONArray("accepted").getJSONObject(2);
    byte[] data = bytes(good, "bytes");
    byte[] strategy = bytes(good.getJSONArray("made").getJSONObject(0), "bytes");
    for (int i = 0; i < data.length; i++) {
      byte[] changed = data.clone();
      changed[i] ^= (byte) (1 << i % 8);
      assertFalse("byte " + i, answer(changed, strategy, null).equals("accepted"));
    }
  }

  @Test
  public void anArtifactFromAnyPositionBecomesTheExportersFile() throws Exception {
    for (String name : Material.names("patches", ".master")) {
      byte[] file = Material.bytes("patches/" + name + ".master");
      ByteBuffer shifted = ByteBuffer.allocateDirect(file.length + 9);
      shifted.position(5);
      shifted.put(file);
      shifted.flip();
      shifted.position(5);
      assertTrue(MasterFile.carriesTable(shifted));
      MasterFile everybody = MasterFile.read(shifted);
      for (String strategy : new String[] {"mixed", "off"}) {
        byte[] wanted = Material.bytes("patches/" + name + "." + strategy);
        assertEquals(wanted.length, everybody.size());
        assertArrayEquals(wanted, all(everybody.patched(Material.bytes("patches/" + name + "." + strategy + ".chrd"))));
        assertFalse(MasterFile.carriesTable(ByteBuffer.wrap(wanted)));
      }
      assertEquals(5, shifted.position());
    }
  }
}
