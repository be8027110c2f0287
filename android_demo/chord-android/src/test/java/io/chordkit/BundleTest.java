package io.chordkit;

import static org.junit.Assert.assertArrayEquals;
import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertFalse;
import static org.junit.Assert.assertNull;
import static org.junit.Assert.assertTrue;

import io.chordkit.trust.VerificationException;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.Collections;
import org.junit.Test;

/** What a bundle gives out, and that nothing of it is copied or believed unread. */
public final class BundleTest {
  private static final int LONG = 1 << 20;

  @Test
  public void aPhoneLearnsAtTheTemperatureOfItsBundle() throws Exception {
    assertEquals(1.25f, new Learning(Shop.bundle("caser")).temperature(), 0);
    assertEquals(1f, new Learning(Shop.bundle("sasrec")).temperature(), 0); // which does not say
  }

  @Test
  public void everythingInItIsGivenOut() throws Exception {
    Bundle bundle = Shop.bundle("sasrec");
    assertEquals(5, bundle.counter());
    assertEquals(Arrays.asList("mixed", "off"), bundle.strategies());
    assertArrayEquals(Material.bytes("sasrec/strategies/off.chrd"), bundle.strategy("off"));
    assertEquals(Collections.emptyList(), bundle.userVectors());
    assertEquals(Arrays.asList("native-int8", "native-mixed", "native-off"), bundle.artifacts());
    assertEquals(Material.map("sasrec/master.chrm"), bundle.master());
    assertEquals(bundle.master(), bundle.artifact("native-mixed"));
    Artifact mixed = bundle.about("native-mixed");
    assertEquals("native strategy int8 20 mixed mixed", mixed.target() + " " + mixed.precision() + " " + mixed.activations() + " "
        + mixed.candidates() + " " + mixed.strategy() + " " + mixed.reference());
    assertFalse(mixed.userVector());
    assertEquals("size", mixed.layout());
    assertNull(mixed.runtime());
    assertNull(bundle.about("native-int8").strategy());
    assertEquals("SKU-1", bundle.items().name(1));
    assertEquals(12, bundle.testVectors().count());
    Bundle users = Shop.bundle("users");
    assertEquals(Arrays.asList("mixed", "stranger"), users.userVectors());
    assertArrayEquals(Material.bytes("sasrec/users/stranger.chru"), users.userVector("stranger"));
    assertTrue(users.about("native-int8").userVector() && users.testVectors().hasUsers());
  }

  @Test
  public void theMasterIsASliceOfWhatWasOpened() throws Exception {
    byte[] data = Material.bytes("sasrec.chord");
    ByteBuffer opened = Material.direct(data);
    Bundle bundle = Bundle.open(opened, Shop.keys(), Shop.verifier(), 5);
    ByteBuffer master = bundle.master();
    assertTrue(master.isDirect() && master.isReadOnly());
    byte before = master.get(100);
    int at = ByteBuffer.wrap(data).limit() - 1;
    for (int i = 0; i <= at; i++) { // there is one place that both see
      opened.put(i, (byte) ~data[i]);
    }
    assertEquals((byte) ~before, master.get(100));
  }

  @Test
  public void itsEngineScoresAsPythonsDoesAndOutlivesIt() throws Exception {
    Bundle bundle = Shop.bundle("sasrec");
    Engine engine = bundle.engine();
    bundle.close();
    java.nio.FloatBuffer scores = Buffers.floatsOf(bundle.testVectors().candidates());
    engine.rerank(bundle.testVectors().history(3), bundle.testVectors().candidates(3), scores);
    float[] all = Material.values("store/static.f32");
    assertArrayEquals(Arrays.copyOfRange(all, 60, 80), Material.values(scores), 0);
    engine.close();
  }

  @Test
  public void aCopyIsReadToItsEndWhateverTheStreamGives() throws Exception {
    final byte[] data = Material.bytes("sasrec.chord");
    InputStream slow =
        new ByteArrayInputStream(data) {
          @Override
          public int read(byte[] into, int from, int count) {
            return super.read(into, from, Math.min(count, 7));
          }

          @Override
          public int available() {
            return 0;
          }
        };
    for (InputStream stream : new InputStream[] {slow, new ByteArrayInputStream(data)}) {
      Bundle copy = Bundle.copy(stream, data.length, Shop.keys(), Shop.verifier(), 0);
      assertEquals(5, copy.counter());
    }
    assertEquals(5, Bundle.copy(Material.file("sasrec.chord"), LONG, Shop.keys(), Shop.verifier(), 0).counter());
    new Attempt() {
      @Override
      public void run() throws Exception {
        Bundle.copy(new ByteArrayInputStream(data), data.length - 1, Shop.keys(), Shop.verifier(), 0);
      }
    }.assertThrows(IOException.class, "the bundle is longer than the " + (data.length - 1) + " bytes that are allowed");
  }

  @Test
  public void whatIsNotAcceptedIsNotOpened() throws Exception {
    refused("older", 5, VerificationException.Older.class);
    refused("unsigned", 0, VerificationException.Untrusted.class);
    refused("other", 0, VerificationException.Untrusted.class);
    refused("changed", 0, VerificationException.Damaged.class);
    refused("truncated", 0, VerificationException.Damaged.class);
    refused("empty", 0, VerificationException.Damaged.class);
  }

  private static void refused(final String name, final long minimum, Class<? extends Throwable> kind) {
    new Attempt() {
      @Override
      public void run() throws Exception {
        Bundle.copy(Shop.stream("refused/" + name + ".chord"), LONG, Shop.keys(), Shop.verifier(), minimum);
      }
    }.assertThrowsWith(kind);
  }

  @Test
  public void whatIsNotInItIsNamedWithWhatIs() throws Exception {
    final Bundle bundle = Shop.bundle("sasrec");
    new Attempt() {
      @Override
      public void run() throws Exception {
        bundle.strategy("nobody");
      }
    }.assertThrowsWith(BundleException.class, "'strategies/nobody.chrd'", "strategies/mixed.chrd");
    new Attempt() {
      @Override
      public void run() throws Exception {
        bundle.artifact("litert");
      }
    }.assertThrowsWith(BundleException.class, "'litert'", "native-off");
  }
}
