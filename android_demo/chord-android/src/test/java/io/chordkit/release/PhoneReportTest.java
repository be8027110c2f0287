package io.chordkit.release;

import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertTrue;

import io.chordkit.Attempt;
import org.junit.Test;

/** The line that a phone reports, and what it can be told to say. */
public final class PhoneReportTest {
  private static final PhoneFacts PHONE = new PhoneFacts("3.4.0", "arm64-v8a", "small", "native", "litert");

  @Test
  public void itsWordsComeInOneOrder() {
    assertEquals("release=0,check=none", new PhoneReport(0, PhoneReport.Check.NONE).header());
    PhoneReport whole = new PhoneReport(12, PhoneReport.Check.PASSED).phone(PHONE).runtime("native").counter(0);
    assertEquals("release=12,counter=0,runtime=native,abi=arm64-v8a,app=3.4.0,check=passed", whole.header());
  }

  @Test
  public void theLongestFitsIntoItsLimit() {
    String word = new String(new char[32]).replace('\0', 'w');
    PhoneFacts longest = new PhoneFacts("2147483647.2147483647.2147483647.2147483647", word, word);
    String line = new PhoneReport(CanonicalJson.LARGEST, PhoneReport.Check.FAILED).counter(CanonicalJson.LARGEST).runtime(word).phone(longest).header();
    assertTrue(line, line.length() <= 256);
  }

  @Test
  public void whatIsNoWordIsRefused() {
    for (final String word : new String[] {"", "a,b", "a=b", "a b", "\u00e9", ".a", new String(new char[33]).replace('\0', 'w')}) {
      new Attempt() {
        @Override
        public void run() {
          new PhoneReport(1, PhoneReport.Check.NONE).runtime(word);
        }
      }.assertThrowsWith(IllegalArgumentException.class, "'" + word + "'");
      new Attempt() {
        @Override
        public void run() {
          new PhoneFacts("1", word, "small");
        }
      }.assertThrowsWith(IllegalArgumentException.class, "'" + word + "'");
    }
    for (final String version : new String[] {"", "1.", "01", "1.2.3.4.5", "2147483648", "1.-2", "v1"}) {
      new Attempt() {
        @Override
        public void run() {
          new PhoneFacts(version, "arm64-v8a", "small");
        }
      }.assertThrowsWith(IllegalArgumentException.class, "'" + version + "' is no version of an app");
    }
  }
}
