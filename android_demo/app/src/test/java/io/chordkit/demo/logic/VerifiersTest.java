package io.chordkit.demo.logic;

import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertNotNull;
import static org.junit.Assert.assertNull;
import static org.junit.Assert.assertTrue;

import io.chordkit.trust.Ed25519Verifier;
import io.chordkit.trust.PlatformEd25519;
import org.junit.Test;

public class VerifiersTest {
  @Test
  public void thePlatformsIsTakenWhereThereIsOne() {
    assertTrue(PlatformEd25519.isAvailable());
    assertTrue(Verifiers.best() instanceof PlatformEd25519);
  }

  @Test
  public void bouncyCastlesIsFoundByItsNameAndAnAppWithoutItHasNone() {
    Ed25519Verifier found = Verifiers.named("io.chordkit.trust.BouncyCastleEd25519");
    assertNotNull(found);
    assertEquals("BouncyCastleEd25519", found.getClass().getSimpleName());
    assertNull(Verifiers.named("io.chordkit.trust.NobodysEd25519"));
  }
}
