package io.chordkit;

import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertTrue;

import io.chordkit.trust.VerificationException;
import java.io.ByteArrayInputStream;
import java.io.File;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.util.Collections;
import org.junit.Before;
import org.junit.Rule;
import org.junit.Test;
import org.junit.rules.TemporaryFolder;

/** What a store opens, accepts, refuses and falls back to. */
public final class ChordStoreTest {
  @Rule public final TemporaryFolder folders = new TemporaryFolder();

  private StoreFixture at;

  @Before
  public void makeFolder() throws Exception {
    at = new StoreFixture(new File(folders.getRoot(), "files/chord")); // made by the store
  }

  @Test
  public void withoutAnythingItSaysSo() {
    new Attempt() {
      @Override
      public void run() throws Exception {
        at.open();
      }
    }.assertThrows(StoreException.class, "no bundle was installed, and none ships with the app");
  }

  @Test
  public void whatShipsIsOpenedAndNothingOlderIsInstalledAfterIt() throws Exception {
    at.ships("store/6.chord");
    assertEquals("6 SHIPPED plain-nobody", at.found());
    refused("5", VerificationException.Older.class);
    assertEquals(7, at.install("7"));
    assertEquals("7 CURRENT plain-nobody", at.found());
  }

  @Test
  public void anUpdateOfTheAppBringsANewerBundle() throws Exception {
    at.ships("store/5.chord");
    at.install("6");
    assertEquals("6 CURRENT plain-nobody", at.found());
    at.ships("store/7.chord");
    assertEquals("7 SHIPPED plain-nobody", at.found());
    refused("6", VerificationException.Older.class);
    try (ChordStore.Session session = at.store().rollback(Shop.SUBJECT)) {
      assertEquals(6, session.bundle().counter());
    }
    assertEquals("6 CURRENT plain-nobody", at.found());
    assertEquals(8, at.install("8"));
  }

  @Test
  public void installedBundlesAreFoundAgainAndTheFolderHoldsTwo() throws Exception {
    for (String name : new String[] {"uncounted", "5", "6", "7"}) {
      at.install(name);
      try (ChordStore.Session session = at.open()) {
        assertEquals(name.equals("uncounted") ? 0 : Long.parseLong(name), session.bundle().counter());
        assertEquals(ChordStore.Source.CURRENT, session.source());
        assertEquals(Collections.emptyList(), session.remarks());
      }
    }
    at.assertHolds(4); // two bundles, state, lock
  }

  @Test
  public void oneThatIsInUseIsNotInstalledAgain() throws Exception {
    at.install("5");
    at.install("6");
    String before = at.listing();
    assertEquals(6, at.install("6"));
    assertEquals(before, at.listing());
  }

  @Test
  public void whatIsRefusedLeavesNoTrace() throws Exception {
    at.install("6");
    String before = at.listing();
    refused("5", VerificationException.Older.class);
    refused("swapped", SelfCheck.Failed.class);
    refused("retrained", SelfCheck.Failed.class);
    refusedBytes(Material.bytes("refused/unsigned.chord"), VerificationException.Untrusted.class);
    byte[] changed = Material.bytes("store/7.chord");
    changed[changed.length / 2] ^= 1;
    refusedBytes(changed, VerificationException.Damaged.class);
    refusedBytes(new byte[0], VerificationException.Damaged.class);
    at.options.longestBundle(1000);
    refused("7", IOException.class);
    at.options.longestBundle(1 << 20);
    refusedStream(
        new InputStream() {
          private int left = 100000;

          @Override
          public int read() throws IOException {
            if (left-- == 0) {
              throw new IOException("the network is gone");
            }
            return 0;
          }
        },
        IOException.class);
    assertEquals(before, at.listing());
    assertEquals("6 CURRENT plain-nobody", at.found());
    at.options.selfCheck(false);
    assertEquals(9, at.install("swapped"));
  }

  @Test
  public void theLowestCounterOfTheAppHoldsFromTheFirstInstallation() throws Exception {
    at.options.minimumCounter(6);
    refused("5", VerificationException.Older.class);
    at.install("6");
    at.options.minimumCounter(7); // of an update of the app
    new Attempt() {
      @Override
      public void run() throws Exception {
        at.open();
      }
    }.assertThrowsWith(StoreException.class, "the bundle that was installed last cannot be opened: ", "6");
  }

  @Test
  public void fromDamageItFallsBackAndSaysWhy() throws Exception {
    at.ships("store/5.chord");
    at.install("6");
    File six = at.file("bundle-");
    at.install("7");
    damage(at.file("bundle-"));
    try (ChordStore.Session session = at.open()) {
      assertEquals(6, session.bundle().counter());
      assertEquals(ChordStore.Source.PREVIOUS, session.source());
      assertEquals(1, session.remarks().size());
      assertTrue(session.remarks().get(0).startsWith("the bundle that was installed last cannot be opened: "));
    }
    refused("6", VerificationException.Older.class); // the counter is not that of what could be opened
    assertTrue(six.delete());
    try (ChordStore.Session session = at.open()) {
      assertEquals(5, session.bundle().counter());
      assertEquals(ChordStore.Source.SHIPPED, session.source());
      assertEquals(2, session.remarks().size());
      assertTrue(session.remarks().get(1).startsWith("the bundle before cannot be opened: "));
    }
    at.ships("refused/truncated.chord");
    new Attempt() {
      @Override
      public void run() throws Exception {
        at.open();
      }
    }.assertThrowsWith(
        StoreException.class, "the bundle that ships with the app cannot be opened: ", "; the bundle that was installed last", "; the bundle before");
    assertEquals(7, at.install("7")); // mends it
    assertEquals("7 CURRENT plain-nobody", at.found());
  }

  @Test
  public void aBrokenBundleIsNoWayBack() throws Exception {
    at.install("5");
    at.install("6");
    damage(at.file("bundle-"));
    at.install("7");
    damage(at.file("bundle-"));
    assertEquals("5 PREVIOUS plain-nobody", at.found());
  }

  @Test
  public void envelopesAreAdoptedAndKept() throws Exception {
    at.install("5");
    try (ChordStore.Session session = at.open()) {
      session.adopt(Material.bytes("store/mixed-3.chre"));
      assertEquals("mixed-nobody", StoreFixture.answers(session.engine()));
      session.adopt(Material.bytes("store/user-3.chre"));
      assertEquals("mixed-mixed", StoreFixture.answers(session.engine()));
    }
    assertEquals("5 CURRENT mixed-mixed", at.found());
    at.adopt("off-4");
    assertEquals("5 CURRENT off-mixed", at.found());
    at.install("6"); // of the same backbone
    assertEquals("6 CURRENT off-mixed", at.found());
    at.assertHolds(6); // two bundles, two envelopes, state, lock
  }

  @Test
  public void whoseTheyAreMatters() throws Exception {
    at.install("5");
    at.adopt("mixed-3");
    try (ChordStore.Session other = at.store().open(new byte[] {'x'})) {
      assertEquals("plain-nobody", StoreFixture.answers(other.engine()));
      assertEquals(Collections.emptyList(), other.remarks());
    }
    refusedEnvelope("envelopes/stranger.chre", VerificationException.NotForThis.class);
  }

  @Test
  public void serialsNeverGoDown() throws Exception {
    at.install("5");
    at.adopt("mixed-4");
    String before = at.listing();
    refusedEnvelope("store/off-3.chre", VerificationException.Older.class);
    refusedEnvelope("envelopes/other.chre", VerificationException.Untrusted.class);
    refusedEnvelope("envelopes/changed.chre", VerificationException.Untrusted.class);
    refusedEnvelope("envelopes/expired.chre", VerificationException.NotNow.class);
    refusedEnvelope("store/caser-5.chre", VerificationException.NotForThis.class);
    assertEquals(before, at.listing());
    at.adopt("user-3"); // vectors count for themselves
    at.adopt("mixed-4"); // equal ones are what is in use
    assertEquals("5 CURRENT mixed-mixed", at.found());
    at.install("8"); // and they count on for another backbone
    try (ChordStore.Session session = at.open()) {
      final ChordStore.Session caser = session;
      new Attempt() {
        @Override
        public void run() throws Exception {
          caser.adopt(Material.bytes("store/caser-3.chre"));
        }
      }.assertThrowsWith(VerificationException.Older.class, "3", "4");
    }
  }

  @Test
  public void whatIsForAnotherBackboneWaitsForIt() throws Exception {
    at.install("7");
    at.adopt("mixed-3");
    try (ChordStore.Session session = at.store().install(Shop.stream("store/8.chord"), Shop.SUBJECT)) {
      assertEquals("another model's", StoreFixture.answers(session.engine()));
      String fingerprint = Hex.of(session.bundle().fingerprint());
      String wanted = "the kept strategy is for another backbone and not in use; ask for one for " + fingerprint;
      assertEquals(Collections.singletonList(wanted), session.remarks());
      session.adopt(Material.bytes("store/caser-4.chre"));
    }
    try (ChordStore.Session session = at.open()) {
      assertEquals(Collections.emptyList(), session.remarks());
    }
    at.store().rollback(Shop.SUBJECT).close();
    assertEquals("7 CURRENT mixed-nobody", at.found());
  }

  @Test
  public void aKeptEnvelopeThatIsNoLongerGoodIsNotUsedAndSaidSo() throws Exception {
    at.install("5");
    at.adopt("mixed-3-until-2100");
    assertEquals("5 CURRENT mixed-nobody", at.found());
    File state = new File(at.folder, "state");
    StoreState kept = StoreState.parse(Disk.read(state, 1 << 20));
    assertTrue(kept.latestSeen > 1700000000L);
    long adopted = kept.latestSeen;
    at.found();
    assertEquals(adopted, StoreState.parse(Disk.read(state, 1 << 20)).latestSeen); // seconds later
    kept.latestSeen -= 3600;
    write(state, kept.toBytes());
    at.found();
    assertTrue(StoreState.parse(Disk.read(state, 1 << 20)).latestSeen >= adopted); // an hour later
    kept.latestSeen = 4102444801L; // as if the clock had gone on, and then back
    write(state, kept.toBytes());
    try (ChordStore.Session session = at.open()) {
      assertEquals("plain-nobody", StoreFixture.answers(session.engine()));
      assertTrue(session.remarks().get(0).startsWith("the kept strategy with serial 3 is not in use: "));
    }
    at.adopt("off-4"); // of no time
    assertEquals("5 CURRENT off-nobody", at.found());
    damage(at.file("envelope-"));
    try (ChordStore.Session session = at.open()) {
      assertEquals(1, session.remarks().size());
    }
  }

  @Test
  public void backToTheOneBeforeAndTheBadOneStaysAway() throws Exception {
    at.install("5");
    at.install("6");
    try (ChordStore.Session session = at.store().rollback(Shop.SUBJECT)) {
      assertEquals(5, session.bundle().counter());
      assertEquals(ChordStore.Source.CURRENT, session.source());
    }
    assertEquals("5 CURRENT plain-nobody", at.found());
    refused("6", VerificationException.Older.class);
    refused("5", VerificationException.Older.class); // it is in use, and no news
    String before = at.listing();
    noWayBack();
    assertEquals(before, at.listing());
    assertEquals(7, at.install("7"));
  }

  @Test
  public void backToWhatShips() throws Exception {
    at.ships("store/5.chord");
    at.install("6");
    at.store().rollback(Shop.SUBJECT).close();
    assertEquals("5 SHIPPED plain-nobody", at.found());
    refused("6", VerificationException.Older.class);
    noWayBack();
  }

  @Test
  public void whatShipsIsNoWayBackFromItself() throws Exception {
    at.ships("store/6.chord");
    at.install("6");
    assertEquals("6 CURRENT plain-nobody", at.found());
    noWayBack();
    assertEquals("6 CURRENT plain-nobody", at.found());
  }

  @Test
  public void aStateThatIsDamagedIsMadeAnewFromWhatWasSigned() throws Exception {
    at.install("5");
    at.install("6");
    at.adopt("mixed-3");
    at.adopt("off-4");
    at.adopt("user-5");
    File state = new File(at.folder, "state");
    byte[] whole = Disk.read(state, 1 << 20);
    for (int place = 0; place < whole.length; place += 7) {
      byte[] data = whole.clone();
      data[place] ^= 4;
      write(state, data);
      try (ChordStore.Session session = at.open()) {
        assertEquals(6, session.bundle().counter());
        assertEquals("off-mixed", StoreFixture.answers(session.engine()));
        assertTrue(session.remarks().get(0).startsWith("the store's state is damaged; it was made anew"));
      }
    }
    for (byte[] data : new byte[][] {new byte[0], new byte[] {1}, java.util.Arrays.copyOf(whole, whole.length - 1)}) {
      write(state, data);
      refused("5", VerificationException.Older.class);
      refusedEnvelope("store/mixed-3.chre", VerificationException.Older.class);
    }
    at.install("7");
    assertEquals("7 CURRENT off-mixed", at.found());
  }

  @Test
  public void aStateOfAnotherVersionIsNotGuessedAt() throws Exception {
    at.install("5");
    String text = new String(Disk.read(new File(at.folder, "state"), 1 << 20), "UTF-8").substring(9);
    assertTrue(text, text.contains("\"version\":2"));
    byte[] json = text.replace("\"version\":2", "\"version\":3").getBytes("UTF-8");
    java.util.zip.CRC32 crc = new java.util.zip.CRC32();
    crc.update(json);
    write(new File(at.folder, "state"), (String.format("%08x\n", crc.getValue()) + new String(json, "UTF-8")).getBytes("UTF-8"));
    try (ChordStore.Session session = at.open()) {
      assertTrue(session.remarks().get(0).startsWith("the store's state was written by another version of the library; "));
      assertEquals(5, session.bundle().counter());
    }
  }

  @Test
  public void envelopesOfManySubjectsDoNotFillTheDisk() throws Exception {
    StoreState state = new StoreState();
    for (int i = 0; i < 500; i++) {
      state.findOrAdd("aa" + i, StoreState.STRATEGY).serial = 9;
      state.lines.get(i).kept.add(new StoreState.Kept("envelope-" + i, "ff", 9));
    }
    at.install("5");
    StoreState own = StoreState.parse(Disk.read(new File(at.folder, "state"), 1 << 20));
    state.current = own.current;
    state.next = 1000;
    write(new File(at.folder, "state"), state.toBytes());
    at.adopt("mixed-3");
    StoreState after = StoreState.parse(Disk.read(new File(at.folder, "state"), 1 << 20));
    assertEquals(501, after.lines.size()); // all serials
    assertEquals(32 + 1, after.files().size()); // and the files of sixteen subjects
    assertEquals(9, after.find("aa0", StoreState.STRATEGY).serial);
  }

  @Test
  public void whoIsForgottenLeavesSerialsAlone() throws Exception {
    at.install("5");
    at.adopt("mixed-4");
    at.adopt("user-4");
    at.store().forget(new byte[] {'x'});
    assertEquals("5 CURRENT mixed-mixed", at.found());
    at.store().forget(Shop.SUBJECT);
    assertEquals("5 CURRENT plain-nobody", at.found());
    at.assertHolds(3); // a bundle, state, lock
    refusedEnvelope("store/mixed-3.chre", VerificationException.Older.class);
    at.adopt("mixed-4");
    assertEquals("5 CURRENT mixed-nobody", at.found());
  }

  @Test
  public void sessionsOfBeforeGoOn() throws Exception {
    at.install("5");
    ChordStore.Session before = at.open();
    at.install("6");
    at.install("7"); // the file of 5 is gone
    assertEquals("plain-nobody", StoreFixture.answers(before.engine()));
    assertEquals("SKU-1", before.bundle().items().name(1));
    before.adopt(Material.bytes("store/mixed-3.chre"));
    before.close();
    assertEquals("7 CURRENT mixed-nobody", at.found());
  }

  private void noWayBack() {
    new Attempt() {
      @Override
      public void run() throws Exception {
        at.store().rollback(Shop.SUBJECT);
      }
    }.assertThrows(StoreException.class, "there is no other bundle to go back to; install a newer one");
  }

  private void refused(String name, Class<? extends Throwable> kind) throws Exception {
    refusedBytes(Material.bytes("store/" + name + ".chord"), kind);
  }

  private void refusedBytes(byte[] data, Class<? extends Throwable> kind) throws Exception {
    refusedStream(new ByteArrayInputStream(data), kind);
  }

  private void refusedStream(final InputStream stream, Class<? extends Throwable> kind) {
    new Attempt() {
      @Override
      public void run() throws Exception {
        at.store().install(stream, Shop.SUBJECT);
      }
    }.assertThrowsWith(kind);
  }

  private void refusedEnvelope(final String file, Class<? extends Throwable> kind) throws Exception {
    try (final ChordStore.Session session = at.open()) {
      String before = StoreFixture.answers(session.engine());
      new Attempt() {
        @Override
        public void run() throws Exception {
          session.adopt(Material.bytes(file));
        }
      }.assertThrowsWith(kind);
      assertEquals(before, StoreFixture.answers(session.engine()));
    }
  }

  private static void damage(File file) throws IOException {
    byte[] data = Disk.read(file, 1 << 20);
    data[data.length / 2] ^= 1;
    write(file, data);
  }

  private static void write(File file, byte[] data) throws IOException {
    FileOutputStream stream = new FileOutputStream(file);
    stream.write(data);
    stream.close();
  }
}
