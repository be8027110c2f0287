package io.chordkit.trust;

import static org.junit.Assert.assertArrayEquals;
import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertNull;
import static org.junit.Assert.assertTrue;
import static org.junit.Assert.fail;

import io.chordkit.Material;
import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import org.junit.Before;
import org.junit.Test;

/** Bundles and envelopes as they come from a server, whole and spoilt, by the platform's arithmetic and by BouncyCastle's. */
public final class TrustTest {
  private static final byte[] SUBJECT = {'p', 'h', 'o', 'n', 'e', ' ', '7'};
  private static final int COUNTER = 5;
  private static final int SERIAL = 3;

  private final List<Ed25519Verifier> verifiers =
      Arrays.<Ed25519Verifier>asList(new PlatformEd25519(), new BouncyCastleEd25519());
  private byte[] key;
  private byte[] other;

  @Before
  public void readKeys() throws Exception {
    key = Material.bytes("key.raw");
    other = Material.bytes("other.raw");
  }

  @Test
  public void bundlesOpenAndTheirMembersAreTheFilesBytes() throws Exception {
    for (Ed25519Verifier verifier : verifiers) {
      for (String name : new String[] {"sasrec", "caser"}) {
        ByteBuffer data = Material.map(name + ".chord");
        VerifiedBundle bundle = new BundleVerifier(keys(other, key), verifier).open(data, COUNTER);
        assertEquals(COUNTER, bundle.counter());
        assertEquals(Material.map(name + "/master.chrm"), bundle.member("master.chrm"));
        assertEquals(
            Material.map(name + "/strategies/mixed.chrd"), bundle.member("strategies/mixed.chrd"));
        assertNull(bundle.member("strategies/nobody.chrd"));
      }
    }
  }

  @Test
  public void whatWasChangedOrCutOrIsNobodysIsRefused() throws Exception {
    for (Ed25519Verifier verifier : verifiers) {
      assertRefused(VerificationException.Damaged.class, bundle(verifier, "truncated"));
      assertRefused(VerificationException.Damaged.class, bundle(verifier, "empty"));
      assertRefused(VerificationException.Damaged.class, bundle(verifier, "longer"));
      assertRefused(VerificationException.Damaged.class, bundle(verifier, "text"));
      assertRefused(VerificationException.Damaged.class, bundle(verifier, "changed"));
      assertRefused(VerificationException.Untrusted.class, bundle(verifier, "unsigned"));
      assertRefused(VerificationException.Untrusted.class, bundle(verifier, "other"));
      assertRefused(VerificationException.Older.class, bundle(verifier, "older"));
    }
  }

  @Test
  public void envelopesOpenForTheirPhone() throws Exception {
    for (Ed25519Verifier verifier : verifiers) {
      VerifiedEnvelope strategy = new EnvelopeVerifier(keys(key), verifier).open(sealed("strategy"), terms());
      assertArrayEquals(Material.bytes("sasrec/strategies/mixed.chrd"), strategy.payload());
      assertEquals(SERIAL, strategy.serial());
      VerifiedEnvelope user = new EnvelopeVerifier(keys(key), verifier).open(sealed("user"), terms());
      assertArrayEquals(Material.bytes("sasrec/users/mixed.chru"), user.payload());
    }
  }

  @Test
  public void envelopesOfOthersAndOfYesterdayAreRefused() throws Exception {
    for (Ed25519Verifier verifier : verifiers) {
      assertRefused(VerificationException.Older.class, envelope(verifier, "older"));
      assertRefused(VerificationException.NotForThis.class, envelope(verifier, "foreign"));
      assertRefused(VerificationException.NotForThis.class, envelope(verifier, "stranger"));
      assertRefused(VerificationException.Untrusted.class, envelope(verifier, "other"));
      assertRefused(VerificationException.NotNow.class, envelope(verifier, "expired"));
      assertRefused(VerificationException.Untrusted.class, envelope(verifier, "changed"));
      assertRefused(VerificationException.Untrusted.class, envelope(verifier, "truncated"));
      assertRefused(VerificationException.Damaged.class, envelope(verifier, "text"));
      assertRefused(VerificationException.Damaged.class, envelope(verifier, "empty"));
    }
  }

  private interface Attempt {
    void run() throws Exception;
  }

  private Attempt bundle(final Ed25519Verifier verifier, final String name) {
    return new Attempt() {
      @Override
      public void run() throws Exception {
        ByteBuffer data = Material.direct(Material.bytes("refused/" + name + ".chord"));
        new BundleVerifier(keys(key), verifier).open(data, COUNTER);
      }
    };
  }

  private Attempt envelope(final Ed25519Verifier verifier, final String name) {
    return new Attempt() {
      @Override
      public void run() throws Exception {
        new EnvelopeVerifier(keys(key), verifier).open(sealed(name), terms());
      }
    };
  }

  private static byte[] sealed(String name) throws Exception {
    return Material.bytes("envelopes/" + name + ".chre");
  }

  private static EnvelopeTerms terms() throws Exception {
    VerifiedBundle bundle =
        new BundleVerifier(keys(Material.bytes("key.raw")), new PlatformEd25519())
            .open(Material.map("sasrec.chord"), 0);
    return new EnvelopeTerms()
        .subject(SUBJECT)
        .fingerprint(bundle.fingerprint())
        .minimumSerial(SERIAL)
        .now(1800000000L);
  }

  private static TrustedKeys keys(byte[]... keys) {
    return new TrustedKeys(Arrays.asList(keys), Collections.<byte[]>emptyList());
  }

  private static void assertRefused(Class<? extends VerificationException> kind, Attempt attempt)
      throws Exception {
    try {
      attempt.run();
    } catch (VerificationException refusal) {
      assertEquals(refusal.getMessage(), kind, refusal.getClass());
      assertTrue(refusal.getMessage(), refusal.getMessage().matches(".*\\b(bundle|envelope)\\b.*"));
      return;
    }
    fail("accepted instead of " + kind.getSimpleName());
  }
}
