package io.chordkit;

import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertTrue;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import org.junit.Test;

/** The catalogue's ids, both ways. */
public final class ItemsTest {
  @Test
  public void idsAreFoundBothWays() throws Exception {
    Bundle bundle = Shop.bundle("sasrec");
    Items items = bundle.items();
    assertEquals(bundle.engine().items(), items.size());
    for (int id = 1; id <= items.size(); id++) {
      assertEquals(id, items.id(items.name(id)));
    }
    assertEquals("ïtem \ud83e\udde6", items.name(items.size()));
    assertEquals(0, items.id(""));
    assertEquals(0, items.id("SKU-0"));
    assertEquals(0, items.id("SKU-1 "));
  }

  @Test
  public void everySpellingOfJsonIsRead() throws Exception {
    Items items = items(" [ \"\" ,\n\"a\\\"b\\\\c\\/d\" , \"\\b\\f\\n\\r\\t\", \"\\u00eF\\ud83e\\udde6\" ]\r\n", 3);
    assertEquals("a\"b\\c/d", items.name(1));
    assertEquals("\b\f\n\r\t", items.name(2));
    assertEquals(3, items.id("ï\ud83e\udde6"));
  }

  @Test
  public void idsOfOneHashAreToldApart() throws Exception {
    Items items = items("[\"\",\"AaAa\",\"BBBB\",\"AaBB\",\"BBAa\"]", 4);
    assertEquals("AaAa".hashCode(), "BBAa".hashCode());
    assertEquals(1, items.id("AaAa"));
    assertEquals(2, items.id("BBBB"));
    assertEquals(3, items.id("AaBB"));
    assertEquals(4, items.id("BBAa"));
    assertEquals(0, items.id("C#Aa"));
  }

  @Test
  public void anythingElseIsRefusedWithItsReason() throws Exception {
    String list = "items.json is not a list of 3 item ids; make the bundle anew";
    String[] wrong = {
      "", "[", "[]", "{}", "[\"\",\"a\"]", "[\"\",\"a\",\"b\",\"c\"]", "[\"\",\"a\",\"b\",]", "[\"\",\"a\",\"b\"] x", "[\"\",\"a\",1]",
      "[\"\",\"a\",null]", "[\"\",\"a\",\"b", "[\"\",\"a\",\"b\\", "[\"\",\"a\",\"\\x\"]", "[\"\",\"a\",\"\\u12\"]", "[\"\",\"a\",\"\\u-123\"]",
      "[\"\",\"a\",\"b\n\"]", "[\"\" \"a\",\"b\"]", "[\"\",'a',\"b\"]", "[\"\",a,\"b\"]"
    };
    for (String json : wrong) {
      refused(json.getBytes(StandardCharsets.UTF_8), list);
    }
    refused("[\"\",\"a\",\"a\"]".getBytes(StandardCharsets.UTF_8), "items.json: items 1 and 2 have the same id; make the bundle anew");
    refused("[\"x\",\"a\",\"b\"]".getBytes(StandardCharsets.UTF_8), "items.json: the id of item 0 is not empty; make the bundle anew");
    refused("[\"\",\"a\",\"\"]".getBytes(StandardCharsets.UTF_8), "items.json: the id of item 2 is empty; make the bundle anew");
    refused(new byte[] {'[', '"', (byte) 0xff, '"', ']'}, "items.json is not UTF-8; make the bundle anew");
  }

  @Test
  public void aHundredThousandAreCheap() throws Exception {
    int size = 100000;
    StringBuilder json = new StringBuilder("[\"\"");
    for (int id = 1; id <= size; id++) {
      json.append(",\"SKU-").append(id).append('"');
    }
    ByteBuffer data = ByteBuffer.wrap(json.append(']').toString().getBytes(StandardCharsets.UTF_8));
    json = null;
    long before = used();
    Items items = new Items(data, size);
    long taken = used() - before;
    assertTrue(taken + " bytes", taken < 3600000);
    assertEquals(77777, items.id("SKU-77777"));
    assertEquals("SKU-100000", items.name(size));
  }

  private static long used() {
    for (int i = 0; i < 3; i++) {
      System.gc();
    }
    return Runtime.getRuntime().totalMemory() - Runtime.getRuntime().freeMemory();
  }

  private static Items items(String json, int size) throws Exception {
    return new Items(ByteBuffer.wrap(json.getBytes(StandardCharsets.UTF_8)), size);
  }

  private static void refused(final byte[] json, String sentence) {
    new Attempt() {
      @Override
      public void run() throws Exception {
        new Items(ByteBuffer.wrap(json), 2);
      }
    }.assertThrows(BundleException.class, sentence);
  }
}
