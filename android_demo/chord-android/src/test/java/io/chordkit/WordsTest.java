package io.chordkit;

import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertTrue;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import org.junit.Test;

/** Names and categories: those that Python reads and no others (tests/export/test_bundle_words.py has the cases). */
public final class WordsTest {
  private static final int ITEMS = 3;

  @Test
  public void whatPythonReadsIsReadAlike() throws Exception {
    for (String name : Material.names("words/accepted", ".json")) {
      Words words = words("words/accepted/" + name + ".json", ITEMS);
      StringBuilder all = new StringBuilder();
      for (int item = 0; item <= ITEMS; item++) {
        all.append(words.of(item)).append('\n');
      }
      assertEquals(name, Material.text("words/accepted/" + name + ".txt"), all.toString());
    }
  }

  @Test
  public void whatPythonRefusesIsRefused() throws Exception {
    String[] names = Material.names("words/refused", ".json");
    assertTrue(names.length + " cases", names.length > 20);
    for (final String name : names) {
      new Attempt() {
        @Override
        public void run() throws Exception {
          words("words/refused/" + name + ".json", ITEMS);
        }
      }.assertThrowsWith(BundleException.class, "names.json", "make the bundle anew");
    }
  }

  @Test
  public void theSentenceSaysWhatIsWrong() {
    refused("[\"\",\"a\"]", ITEMS, "names.json is not a list of 4 texts; make the bundle anew");
    refused("[\"\",\"a\"]", Integer.MAX_VALUE - 2, "names.json is not a list of 2147483646 texts; make the bundle anew");
    refused("[\"x\",\"a\"]", 1, "names.json: its first entry, which is padding's, is not empty; make the bundle anew");
    refused(
        "[\"\",\"a\u202eb\"]", 1, "names.json: that of item 1 is not a text of at most 200 characters that are all shown; make the bundle anew");
  }

  @Test
  public void anItemHasTheWordsOfItsNumber() throws Exception {
    Items items = Shop.bundle("sasrec").items();
    assertEquals("Sock", items.title(1));
    assertEquals("wool, warm", items.category(1));
    assertEquals("", items.title(2));
    assertEquals("wool", items.category(2));
    assertEquals("The \"long\" \\ one \ud83e\udde6", items.title(items.size()));
    assertEquals("", items.category(items.size()));
    for (final int outside : new int[] {0, -1, items.size() + 1}) {
      final Items catalogue = items;
      new Attempt() {
        @Override
        public void run() throws Exception {
          catalogue.title(outside);
        }
      }.assertThrowsWith(IndexOutOfBoundsException.class, "item " + outside + " is not one of 1 to ");
    }
  }

  @Test
  public void aBundleWithoutWordsSaysNothing() throws Exception {
    Items items = Shop.bundle("caser").items();
    assertEquals("SKU-1", items.name(1));
    assertEquals("", items.title(1));
    assertEquals("", items.category(1));
  }

  @Test
  public void aHundredThousandAreCheapWhateverTheirLength() throws Exception {
    int size = 100000;
    StringBuilder json = new StringBuilder("[\"\"");
    for (int id = 1; id <= size; id++) {
      json.append(",\"The \\\"").append(id).append("\\\" of which there is a long story to be told, and not here\"");
    }
    ByteBuffer data = ByteBuffer.wrap(json.append(']').toString().getBytes(StandardCharsets.UTF_8));
    json = null;
    long before = used();
    Words words = new Words(data, size, "names.json");
    long taken = used() - before;
    assertTrue(taken + " bytes", taken < 450000);
    assertTrue(words.of(77777), words.of(77777).startsWith("The \"77777\" of which"));
    assertTrue(data.hasRemaining()); // there all the time
  }

  private static long used() {
    for (int i = 0; i < 3; i++) {
      System.gc();
    }
    return Runtime.getRuntime().totalMemory() - Runtime.getRuntime().freeMemory();
  }

  private static Words words(String file, int size) throws Exception {
    return new Words(Material.direct(Material.bytes(file)), size, "names.json");
  }

  private static void refused(final String json, final int size, String sentence) {
    new Attempt() {
      @Override
      public void run() throws Exception {
        new Words(ByteBuffer.wrap(json.getBytes(StandardCharsets.UTF_8)), size, "names.json");
      }
    }.assertThrows(BundleException.class, sentence);
  }
}
