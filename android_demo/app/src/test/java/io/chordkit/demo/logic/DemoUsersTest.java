package io.chordkit.demo.logic;

import static org.junit.Assert.assertArrayEquals;
import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertNull;
import static org.junit.Assert.assertTrue;
import static org.junit.Assert.fail;

import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import org.json.JSONArray;
import org.json.JSONObject;
import org.junit.Test;

public class DemoUsersTest {
  private static JSONObject whole() throws Exception {
    return new JSONObject(TestFiles.text("demo/users.json"));
  }

  private static byte[] bytes(JSONObject document) {
    return document.toString().getBytes(StandardCharsets.UTF_8);
  }

  private static void refused(JSONObject document, String why) {
    try {
      DemoUsers.parse(bytes(document));
      fail(why);
    } catch (DemoException expected) {
      assertEquals("demo_users.json: " + why + "; make it again with `chordkit demo`", expected.getMessage());
    }
  }

  @Test
  public void whatPythonWroteIsRead() throws Exception {
    DemoUsers users = DemoUsers.parse(TestFiles.bytes("demo/users.json"));
    assertEquals("shop", users.data);
    assertEquals(8, users.fingerprint().length);
    assertEquals(2, users.users.size());
    DemoUser mixed = users.users.get(0);
    assertEquals("user mixed", mixed.name);
    assertEquals("mixed", mixed.subject);
    assertEquals(40, mixed.history.size());
    assertEquals(20, mixed.candidates.size());
    assertEquals(mixed.taken, mixed.candidates.get(19));
    for (byte[] envelope : Arrays.asList(mixed.envelope(), users.shared())) {
      assertEquals("CHRE", new String(envelope, 0, 4, StandardCharsets.US_ASCII));
    }
    assertArrayEquals(TestFiles.bytes("learning/samples.chrs"), mixed.samples());
    assertNull(users.users.get(1).samples());
    JSONObject wrong = whole();
    wrong.getJSONArray("users").getJSONObject(0).put("samples", "no base64!");
    refused(wrong, "samples is not base64");
  }

  @Test
  public void versionOneIsReadWithoutItsWords() throws Exception {
    JSONObject old = whole().put("version", 1).put("items", new JSONObject().put("SKU-1", new JSONArray(Arrays.asList("Sock", ""))));
    assertEquals(2, DemoUsers.parse(bytes(old)).users.size());
  }

  @Test
  public void whatIsGivenOutIsACopy() throws Exception {
    DemoUsers users = DemoUsers.parse(TestFiles.bytes("demo/users.json"));
    byte[] first = users.users.get(0).envelope();
    users.users.get(0).envelope()[0] = 0;
    users.shared()[0] = 0;
    users.fingerprint()[0] ^= 1;
    assertArrayEquals(first, users.users.get(0).envelope());
    assertEquals('C', users.shared()[0]);
    assertEquals(whole().getString("fingerprint"), Hexadecimal.of(users.fingerprint()));
  }

  @Test
  public void otherFilesAreRefused() throws Exception {
    refused(whole().put("format", "chordkit.dataset"), "format and version are not chordkit.demo_users and 2");
    refused(whole().put("version", 3), "format and version are not chordkit.demo_users and 2");
    refused(whole().put("version", "1"), "format and version are not chordkit.demo_users and 2");
    refused(whole().put("fingerprint", "0123"), "fingerprint is not 16 hexadecimal digits");
    refused(whole().put("fingerprint", "0123456789ABCDEF"), "fingerprint is not 16 hexadecimal digits");
    refused(whole().put("shared", "%"), "shared is not base64");
    refused(whole().put("shared", 7), "shared is not a text of 1 to 65536 characters");
    refused(whole().put("data", ""), "data is not a text of 1 to 200 characters");
    refused(whole().put("users", new JSONArray()), "users: 0 are not 1 to 100");
  }

  @Test
  public void peopleWhoCannotBeShownAreRefused() throws Exception {
    JSONObject document = whole();
    JSONObject user = document.getJSONArray("users").getJSONObject(0);
    user.put("taken", "SKU-0");
    refused(document, "users: taken is not among candidates");
    document = whole();
    document.getJSONArray("users").getJSONObject(0).put("history", new JSONArray());
    refused(document, "users: history: 0 items are not 1 to 1000");
    document = whole();
    document.getJSONArray("users").getJSONObject(1).put("history", new JSONArray(Arrays.asList("SKU-1", 2)));
    refused(document, "users: history is not a list of ids");
    document = whole();
    JSONArray candidates = document.getJSONArray("users").getJSONObject(1).getJSONArray("candidates");
    candidates.put(candidates.getString(0));
    refused(document, "users: candidates: an id occurs twice");
    document = whole();
    document.getJSONArray("users").getJSONObject(1).put("subject", "mixed");
    refused(document, "users: subject mixed occurs twice");
    document = whole();
    document.getJSONArray("users").getJSONObject(1).put("subject", "everybody");
    refused(document, "users: subject everybody occurs twice");
    document = whole();
    document.getJSONArray("users").getJSONObject(1).put("subject", "a subject of 25 characters");
    refused(document, "subject is not a text of 1 to 24 characters");
    document = whole();
    JSONArray many = new JSONArray();
    for (int i = 0; i < 1001; i++) {
      many.put("SKU-1");
    }
    document.getJSONArray("users").getJSONObject(1).put("history", many);
    refused(document, "users: history: 1001 items are not 1 to 1000");
  }

  @Test
  public void whatIsNoJsonOrTooMuchIsRefused() throws Exception {
    StringBuilder deep = new StringBuilder("{\"format\":");
    for (int i = 0; i < 150000; i++) {
      deep.append('[');
    }
    byte[][] bad = {
      new byte[0],
      "[]".getBytes(StandardCharsets.UTF_8),
      {(byte) 0xff, (byte) 0xfe},
      new byte[200001],
      deep.toString().getBytes(StandardCharsets.UTF_8),
      "{\"format\":\"chordkit.demo_users\",\"version\":1}".getBytes(StandardCharsets.UTF_8),
    };
    for (byte[] each : bad) {
      try {
        DemoUsers.parse(each);
        fail(each.length + " bytes");
      } catch (DemoException expected) {
        assertTrue(expected.getMessage().startsWith("demo_users.json: "));
      }
    }
    byte[] long200001 = Arrays.copyOf(TestFiles.bytes("demo/users.json"), 200001);
    Arrays.fill(long200001, TestFiles.bytes("demo/users.json").length, 200001, (byte) ' ');
    DemoUsers.parse(Arrays.copyOf(long200001, 200000));
    try {
      DemoUsers.parse(long200001);
      fail();
    } catch (DemoException expected) {
      assertTrue(expected.getMessage().startsWith("demo_users.json: it is larger than 200000 bytes"));
    }
    byte[] good = TestFiles.bytes("demo/users.json");
    for (int cut = 0; cut < good.length - 3; cut += 101) {
      try {
        DemoUsers.parse(Arrays.copyOf(good, cut));
        fail("cut at " + cut);
      } catch (DemoException expected) {
        assertTrue(expected.getMessage().startsWith("demo_users.json: "));
      }
    }
  }
}
