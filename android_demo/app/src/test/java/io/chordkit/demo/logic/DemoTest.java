package io.chordkit.demo.logic;

import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertFalse;
import static org.junit.Assert.assertNotNull;
import static org.junit.Assert.assertNull;
import static org.junit.Assert.assertTrue;
import static org.junit.Assert.fail;

import io.chordkit.Bundle;
import io.chordkit.ChordException;
import io.chordkit.ChordStore;
import io.chordkit.SelfCheck;
import io.chordkit.annotation.Nullable;
import io.chordkit.trust.Ed25519Verifier;
import io.chordkit.trust.TrustedKeys;
import java.io.File;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Base64;
import java.util.List;
import org.json.JSONArray;
import org.json.JSONObject;
import org.junit.After;
import org.junit.Before;
import org.junit.Test;

public class DemoTest {
  private File folder;

  @Before
  public void makeFolder() throws IOException {
    folder = Files.createTempDirectory("demo").toFile();
  }

  @After
  public void removeFolder() throws IOException {
    TestFiles.delete(folder);
  }

  private Demo demo(String bundle, DemoUsers users, @Nullable Ed25519Verifier verifier) throws IOException {
    final File file = TestFiles.file(bundle);
    ChordStore.Shipped shipped =
        new ChordStore.Shipped() {
          @Override
          public Bundle open(TrustedKeys keys, @Nullable Ed25519Verifier verifier, long minimum) throws ChordException, IOException {
            return Bundle.map(file, keys, verifier, minimum);
          }
        };
    ChordStore store =
        new ChordStore(new File(folder, "chord"), TestFiles.keys(), verifier, new ChordStore.Options().shipped(shipped));
    return new Demo(store, TestFiles.keys(), verifier, users);
  }

  private static DemoUsers people() throws Exception {
    return DemoUsers.parse(TestFiles.bytes("demo/users.json"));
  }

  private static List<String> ids(List<RankedItem> items) {
    List<String> ids = new ArrayList<String>();
    for (RankedItem item : items) {
      ids.add(item.id);
    }
    return ids;
  }

  @Test
  public void bothListsAreInTheOrderOfThePythonEngine() throws Exception {
    DemoUsers users = people();
    Demo demo = demo("sasrec.chord", users, TestFiles.ED25519);
    // There and back again: each user has the own strategy, whoever was picked before.
    for (int index : new int[] {0, 1, 0}) {
      DemoUser user = users.users.get(index);
      Lists lists = demo.pick(user);
      assertEquals(Arrays.asList(TestFiles.text("demo/" + user.subject + ".order").split("\n")), ids(lists.comparison.personal));
      assertEquals(Arrays.asList(TestFiles.text("demo/" + user.subject + ".shared").split("\n")), ids(lists.comparison.shared));
      assertEquals(user, lists.user);
      assertEquals("Sock", Words.of(lists.items, "SKU-1").title);
      assertEquals("wool, warm", Words.of(lists.items, "SKU-1").group);
      assertEquals("wool", Words.of(lists.items, "SKU-2").group);
      for (String other : new String[] {"SKU-2", "SKU-3", "not in the catalogue", ""}) {
        assertEquals("", Words.of(lists.items, other).title);
      }
      assertEquals(5, lists.bundleCounter);
      assertTrue(lists.comparison.moved > 0);
      assertTrue(lists.comparison.takenPersonal() > 0 && lists.comparison.takenShared() > 0);
      assertTrue(lists.remarks.toString(), lists.remarks.isEmpty());
    }
    demo.close();
  }

  @Test
  public void whatTravelledAndWhatItIsAreTold() throws Exception {
    DemoUsers users = people();
    Demo demo = demo("sasrec.chord", users, TestFiles.ED25519);
    Lists lists = demo.pick(users.users.get(0));
    byte[] strategy = TestFiles.bytes("sasrec/strategies/mixed.chrd");
    byte[] widths = TestFiles.bytes("sasrec/strategies/mixed.widths");
    assertEquals(strategy.length, lists.personal.strategyBytes);
    assertEquals(strategy.length + 104 + "mixed".length(), lists.personal.envelopeBytes);
    assertEquals(strategy.length + 104 + "everybody".length(), lists.shared.envelopeBytes);
    assertEquals(widths.length, lists.channels);
    int eight = 0;
    for (byte width : widths) {
      eight += width == 8 ? 1 : 0;
    }
    assertEquals((double) eight / widths.length, lists.personal.picture.share(8), 1e-12);
    assertEquals(1, lists.shared.picture.share(2), 1e-12);
    assertEquals(2, lists.shared.picture.averageBits(), 1e-12);
    assertEquals(20, lists.personal.engine.calls());
    assertTrue(lists.personal.whole > lists.personal.engine.percentile(0));
    assertFalse(lists.variant.isEmpty());
    demo.close();
  }

  @Test
  public void theListCanBeTimedAndTheDeviceChecked() throws Exception {
    DemoUsers users = people();
    Demo demo = demo("sasrec.chord", users, TestFiles.ED25519);
    demo.pick(users.users.get(1));
    Latency latency = LatencyTest.warm(demo.rerank(), 1000, Progress.SILENT);
    assertEquals(1000, latency.calls());
    assertTrue(latency.percentile(50) > 0 && latency.percentile(50) <= latency.percentile(99));
    SelfCheck check = demo.selfCheck();
    assertTrue(check.passed());
    assertEquals(3, check.results().size());
    demo.close();
    for (int turn = 0; turn < 2; turn++) {
      try {
        if (turn == 0) {
          demo.rerank();
        } else {
          demo.selfCheck();
        }
        fail();
      } catch (IllegalStateException expected) {
        assertEquals("no user was picked", expected.getMessage());
      }
    }
  }

  @Test
  public void whatIsLearnedMovesTheOwnListAloneAndIsUndoneAndForgotten() throws Exception {
    DemoUsers users = people();
    Demo demo = demo("sasrec.chord", users, TestFiles.ED25519);
    Lists before = demo.pick(users.users.get(0));
    assertNull(before.learned.last);
    assertFalse(before.learned.inUse);
    assertEquals(0, before.learned.change.moved);
    Lists after = demo.learn();
    assertNotNull(after.learned.last);
    assertEquals(39, after.learned.last.own());
    assertEquals(12, after.learned.last.outside());
    assertTrue(after.learned.inUse);
    assertTrue(after.learned.change.moved > 0);
    assertEquals(ids(after.comparison.personal), ids(after.learned.change.personal));
    assertEquals(ids(before.comparison.personal), ids(after.learned.change.shared));
    assertEquals(ids(before.comparison.shared), ids(after.comparison.shared));
    assertEquals(1000, LatencyTest.warm(demo.rerank(), 1000, Progress.SILENT).calls());
    // It is the first user's, and still there when the user comes back, also after the app was closed.
    assertFalse(demo.pick(users.users.get(1)).learned.inUse);
    demo.close();
    Lists again = demo("sasrec.chord", users, TestFiles.ED25519).pick(users.users.get(0));
    assertTrue(again.learned.inUse);
    assertNull(again.learned.last);
    assertEquals(ids(after.comparison.personal), ids(again.comparison.personal));
    demo.pick(users.users.get(0));
    Lists undone = demo.undo();
    assertFalse(undone.learned.inUse);
    assertEquals(ids(before.comparison.personal), ids(undone.comparison.personal));
    demo.learn();
    demo.learn();
    Lists forgotten = demo.unlearn();
    assertFalse(forgotten.learned.inUse);
    assertEquals(ids(before.comparison.personal), ids(forgotten.comparison.personal));
    demo.close();
  }

  @Test
  public void fromTooFewChoicesNothingIsLearned() throws Exception {
    JSONObject document = new JSONObject(TestFiles.text("demo/users.json"));
    document.getJSONArray("users").getJSONObject(1).put("history", new JSONArray(Arrays.asList("SKU-3", "SKU-9", "SKU-4")));
    DemoUsers users = DemoUsers.parse(document.toString().getBytes(StandardCharsets.UTF_8));
    Demo demo = demo("sasrec.chord", users, TestFiles.ED25519);
    List<String> before = ids(demo.pick(users.users.get(1)).comparison.personal);
    Lists after = demo.learn();
    assertFalse(after.learned.last.hadEnough());
    assertFalse(after.learned.inUse);
    assertEquals(before, ids(after.comparison.personal));
    demo.close();
  }

  @Test
  public void samplesThatAreNotForThisBackboneAreRefused() throws Exception {
    JSONObject document = new JSONObject(TestFiles.text("demo/users.json"));
    byte[] foreign = TestFiles.bytes("learning/refused/foreign.chrs");
    document.getJSONArray("users").getJSONObject(0).put("samples", Base64.getEncoder().encodeToString(foreign));
    DemoUsers users = DemoUsers.parse(document.toString().getBytes(StandardCharsets.UTF_8));
    Demo demo = demo("sasrec.chord", users, TestFiles.ED25519);
    demo.pick(users.users.get(0));
    try {
      demo.learn();
      fail();
    } catch (ChordException expected) {
      assertTrue(expected.getMessage(), expected.getMessage().startsWith("samples: fingerprint: "));
    }
    demo.close();
  }

  @Test
  public void peopleOfAnotherBackboneAreRefused() throws Exception {
    DemoUsers users = people();
    Demo demo = demo("caser.chord", users, TestFiles.ED25519);
    try {
      demo.pick(users.users.get(0));
      fail();
    } catch (DemoException expected) {
      assertTrue(expected.getMessage(), expected.getMessage().contains("take both from one `chordkit demo`"));
    }
    demo.close();
  }

  @Test
  public void anEnvelopeForSomebodyElseIsRefusedAndTheNextPickWorks() throws Exception {
    JSONObject document = new JSONObject(TestFiles.text("demo/users.json"));
    JSONObject first = document.getJSONArray("users").getJSONObject(0);
    first.put("envelope", document.getJSONArray("users").getJSONObject(1).getString("envelope"));
    DemoUsers users = DemoUsers.parse(document.toString().getBytes(StandardCharsets.UTF_8));
    Demo demo = demo("sasrec.chord", users, TestFiles.ED25519);
    demo.pick(users.users.get(1));
    try {
      demo.pick(users.users.get(0));
      fail();
    } catch (ChordException expected) {
      assertTrue(expected.getMessage(), expected.getMessage().startsWith("envelope: subject: "));
    }
    try {
      demo.rerank();
      fail("the one who was picked before is not picked any more");
    } catch (IllegalStateException expected) {
      assertEquals("no user was picked", expected.getMessage());
    }
    assertEquals(20, demo.pick(users.users.get(1)).comparison.personal.size());
    demo.close();
  }

  @Test
  public void withoutAVerifierNothingIsAccepted() throws Exception {
    DemoUsers users = people();
    Demo demo = demo("sasrec.chord", users, null);
    try {
      demo.pick(users.users.get(0));
      fail();
    } catch (ChordException expected) {
      assertTrue(expected.getMessage(), expected.getMessage().contains("there is no function"));
    }
    demo.close();
  }
}
