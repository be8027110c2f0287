package io.chordkit.release;

import static org.junit.Assert.assertEquals;
import static org.junit.Assert.fail;

import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Map;
import org.junit.Test;

/** Which spellings of JSON are read; tests/golden/release.json has more, inside of signed files. */
public final class CanonicalJsonTest {
  @Test
  public void everyKindOfValueIsRead() throws Exception {
    Map<String, Object> wanted = new LinkedHashMap<String, Object>();
    wanted.put("\"\\", Arrays.<Object>asList(true, false, null, 0L, -7L, CanonicalJson.LARGEST, -CanonicalJson.LARGEST));
    wanted.put("a", new LinkedHashMap<String, Object>());
    wanted.put("a ~", "\\\\");
    assertEquals(wanted, read("{\"\\\"\\\\\":[true,false,null,0,-7,9007199254740991,-9007199254740991],\"a\":{},\"a ~\":\"\\\\\\\\\"}"));
  }

  @Test
  public void eachValueHasOneSpelling() {
    String[] wrong = {
      "", " 1", "1 ", "[1, 2]", "[1,]", "[,1]", "[1", "{\"a\":1", "{\"a\" :1}", "{\"a\"}", "{1:2}", "{\"b\":1,\"a\":2}", "{\"a\":1,\"a\":1}", "{\"a\":1,}",
      "01", "-0", "-", "+1", "1.0", "1e3", "9007199254740992", "-9007199254740992", "99999999999999999999", "NaN", "TRUE", "tru", "nul", "'a'",
      "\"a", "\"\\", "\"\\/\"", "\"\\n\"", "\"\\u0041\"", "\"\n\"", "\"\u007f\"", "\"\u00e9\"", "1\u0000", "/**/1", "a"
    };
    for (String text : wrong) {
      try {
        fail(text + " was read as " + read(text));
      } catch (ReleaseException refused) {
        assertEquals(text, ReleaseException.NotCanonical.class, refused.getClass());
      }
    }
  }

  private static Object read(String text) throws ReleaseException {
    CanonicalJson json = new CanonicalJson(text.getBytes(StandardCharsets.ISO_8859_1), "file");
    Object value = json.value();
    json.expectEnd();
    return value;
  }
}
