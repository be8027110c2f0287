package io.chordkit.demo.logic;

import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertTrue;

import io.chordkit.ChordException;
import java.io.IOException;
import java.util.Arrays;
import java.util.Collections;
import java.util.Locale;
import org.junit.Test;

public class NumbersTest {
  @Test
  public void numbersAreWrittenAsThePlaceDoes() {
    Numbers english = new Numbers(Locale.US);
    Numbers german = new Numbers(Locale.GERMANY);
    assertEquals("1,234,567", english.whole(1234567));
    assertEquals("1.234.567", german.whole(1234567));
    assertEquals("43%", english.percent(0.4321));
    assertEquals("-1.5%", english.percent(-0.0149, 1));
    assertEquals("43%", english.percent(0.4321));
    assertEquals("2.50", english.decimal(2.5, 2));
    assertEquals("2,50", german.decimal(2.5, 2));
    assertEquals("0", english.decimal(0.4, 0));
  }

  @Test
  public void measuresHaveThreeSignificantDigits() {
    Numbers english = new Numbers(Locale.US);
    double[] measures = {0, 0.004, 4.5678, 9.994, 9.996, 45.678, 99.94, 99.96, 456.78, 4567.8};
    String[] wanted = {"0.00", "0.00", "4.57", "9.99", "10.0", "45.7", "99.9", "100", "457", "4,568"};
    for (int i = 0; i < measures.length; i++) {
      assertEquals(wanted[i], english.measure(measures[i]));
    }
  }

  @Test
  public void aFailureIsOneSentence() {
    ChordException refused = new DemoException("users: none\n  of them");
    assertEquals("users: none of them", Failure.sentence(refused));
    assertEquals("/a: gone", Failure.sentence(new IOException("/a: gone")));
    assertEquals("IOException", Failure.sentence(new IOException()));
    assertEquals("IllegalStateException: closed", Failure.sentence(new IllegalStateException("closed")));
    assertEquals("NullPointerException", Failure.sentence(new NullPointerException()));
    assertEquals("there is not enough memory", Failure.sentence(new OutOfMemoryError()));
    assertEquals("there is not enough memory: direct", Failure.sentence(new OutOfMemoryError("direct")));
    String long1000 = Failure.sentence(new IOException(new String(new char[5000]).replace('\0', 'x')));
    assertEquals(1000, long1000.length());
    assertTrue(long1000.endsWith("x…"));
  }

  @Test
  public void keysAreThirtyTwoBytesEach() throws Exception {
    AcceptedKeys.parse(new byte[32]);
    AcceptedKeys.parse(new byte[16 * 32]);
    for (int bytes : new int[] {0, 31, 33, 17 * 32}) {
      try {
        AcceptedKeys.parse(new byte[bytes]);
        assertTrue(false);
      } catch (DemoException expected) {
        assertTrue(expected.getMessage().startsWith("trusted_keys: " + bytes + " bytes are not 1 to 16 keys of 32 bytes"));
      }
    }
  }

  @Test
  public void hexadecimalGoesThereAndBack() {
    byte[] bytes = {0, 1, 15, 16, (byte) 0xab, (byte) 0xff};
    assertEquals("00010f10abff", Hexadecimal.of(bytes));
    assertTrue(Arrays.equals(bytes, Hexadecimal.parse("00010F10abFF")));
  }

  @Test
  public void processorsAreThoseThatTheKernelAllows() {
    assertEquals(Arrays.asList(0, 4, 5, 6), DeviceFacts.processors("Name:\tx\nCpus_allowed_list:\t0,4-6\nMems:\t0\n", 8));
    assertEquals(Collections.singletonList(7), DeviceFacts.processors("Cpus_allowed_list:\t7", 8));
    for (String unknown : new String[] {"", "Cpus_allowed_list:\t\n", "Cpus_allowed_list:\t4-\n", "Cpus_allowed:\tff\n"}) {
      assertEquals(Arrays.asList(0, 1, 2), DeviceFacts.processors(unknown, 3));
    }
  }
}
