package io.chordkit;

import static org.junit.Assert.assertArrayEquals;
import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertFalse;
import static org.junit.Assert.assertNull;
import static org.junit.Assert.assertTrue;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import org.junit.Test;

/** Test vectors as Python writes them, and everything that they must not be. */
public final class TestVectorsTest {
  private static final String GOOD =
      "{'candidates':{'dtype':'I32','shape':[2,3],'data_offsets':[0,24]},"
          + "'histories':{'dtype':'I32','shape':[2,2],'data_offsets':[24,40]},"
          + "'scores/int8':{'dtype':'F32','shape':[2,3],'data_offsets':[40,64]},"
          + "'targets':{'dtype':'I32','shape':[2],'data_offsets':[64,72]}}";
  private static final int[] NUMBERS = {1, 2, 3, 4, 5, 6, 0, 7, 8, 9, 0, 0, 0, 0, 0, 0, 2, 0};

  @Test
  public void rowsAreViewsOfTheBundle() throws Exception {
    Bundle bundle = Shop.bundle("sasrec");
    TestVectors vectors = bundle.testVectors();
    assertEquals(12, vectors.count());
    assertEquals(20, vectors.candidates());
    assertEquals(bundle.engine().maxLength(), vectors.length());
    assertEquals(Arrays.asList("int8", "mixed", "off"), vectors.references());
    assertTrue(vectors.history(11).isDirect() && vectors.history(11).isReadOnly());
    assertEquals(ByteOrder.LITTLE_ENDIAN, vectors.history(0).order());
    assertTrue(vectors.target(5) >= 0 && vectors.target(5) < 20);
    assertFalse(vectors.hasUsers());
    assertNull(vectors.user(0));
    Bundle users = Shop.bundle("users");
    assertEquals(users.engine().dim(), users.testVectors().user(2).remaining());
  }

  @Test
  public void theRightOnesAreRead() throws Exception {
    TestVectors vectors = new TestVectors(file(GOOD, NUMBERS), 9);
    int[] row = new int[3];
    vectors.candidates(1).get(row);
    assertArrayEquals(new int[] {4, 5, 6}, row);
    assertEquals(2, vectors.target(0));
  }

  @Test
  public void headersThatDoNotFitAreRefused() throws Exception {
    refused(GOOD.replace("'shape':[2,3],'data_offsets':[0,24]", "'shape':[2,3],'data_offsets':[0,28]"), "candidates does not lie");
    refused(GOOD.replace("[0,24]", "[0,24,0]"), "candidates is no");
    refused(GOOD.replace("[64,72]", "[68,76]"), "targets does not lie");
    refused(GOOD.replace("[64,72]", "[72,64]"), "targets does not lie");
    refused(GOOD.replace("'shape':[2],'", "'shape':[4294967298],'"), "targets does not lie");
    refused(GOOD.replace("'shape':[2,2]", "'shape':[-2,-2]"), "shape is not a list of whole numbers");
    refused(GOOD.replace("'shape':[2,2]", "'shape':['2',2]"), "shape is not a list of whole numbers");
    refused(GOOD.replace("'shape':[2,2]", "'shape':[2.0,2]"), "shape is not a list of whole numbers");
    refused(GOOD.replace("'shape':[2,2]", "'shape':[2,2,1]"), "histories is no");
    refused(GOOD.replace("'dtype':'I32','shape':[2,2]", "'dtype':'I64','shape':[2,2]"), "histories is no");
    refused(GOOD.replace("'dtype':'I32','shape':[2,2]", "'dtype':'F32','shape':[2,2]"), "histories has another type");
    refused(GOOD.replace("'dtype':'F32'", "'dtype':'I32'"), "scores/int8 has another type");
    refused(GOOD.replace("'dtype':'F32'", "'dtype':1"), "dtype is not a text");
    refused(GOOD.replace("scores/int8", "surprise"), "an array 'surprise' that this version does not know");
    refused(GOOD.replace("'histories':{'dtype':'I32','shape':[2,2]", "'histories':{'dtype':'I32','shape':[1,4]"), "has other rows");
    refused(GOOD.replace("'shape':[2],'", "'shape':[2,1],'"), "targets has another type or number of dimensions");
    refused("[1]", "is not one JSON object");
    refused("{", "is not one JSON object");
    refused("", "is not one JSON object");
    refused("{'histories':1}", "histories is not an object");
    refused("{}", "it has no histories");
    refused(GOOD.substring(0, GOOD.indexOf(",'targets'")) + '}', "it has no targets");
    StringBuilder deep = new StringBuilder();
    for (int i = 0; i < 100000; i++) {
      deep.append("{\"a\":");
    }
    refused(deep.toString(), "is not one JSON object");
  }

  @Test
  public void filesThatEndTooSoonAreRefused() throws Exception {
    final ByteBuffer whole = file(GOOD, NUMBERS);
    for (int size = 0; size < whole.remaining(); size++) {
      final ByteBuffer cut = whole.duplicate();
      cut.limit(size);
      new Attempt() {
        @Override
        public void run() throws Exception {
          new TestVectors(cut, 9);
        }
      }.assertThrowsWith(BundleException.class, "vectors.safetensors");
    }
    final ByteBuffer huge = ByteBuffer.allocate(16).order(ByteOrder.LITTLE_ENDIAN).putLong(0, Long.MIN_VALUE);
    new Attempt() {
      @Override
      public void run() throws Exception {
        new TestVectors(huge, 9);
      }
    }.assertThrowsWith(BundleException.class, "it ends before its header does");
  }

  @Test
  public void numbersThatNoModelTakesAreRefused() throws Exception {
    refusedNumber(0, 0, "candidates 0 has an item outside of the catalogue");
    refusedNumber(5, 10, "candidates 1 has an item outside of the catalogue");
    refusedNumber(7, 10, "history 0 has an item outside");
    refusedNumber(7, -1, "history 0 has an item outside");
    refusedNumber(7, 0, "row 0 has no item");
    refusedNumber(9, 0, "history 1 has an item outside of the catalogue, or an empty slot behind an item");
    refusedNumber(16, 3, "row 0 has no item, or a target outside");
    refusedNumber(17, -1, "row 1 has no item, or a target outside");
    refusedNumber(12, Float.floatToIntBits(Float.NaN), "scores/int8 has a number that is not finite");
    refusedNumber(15, Float.floatToIntBits(Float.NEGATIVE_INFINITY), "scores/int8 has a number that is not finite");
  }

  private static void refusedNumber(int place, int value, String words) {
    int[] numbers = NUMBERS.clone();
    numbers[place] = value;
    refused(file(GOOD, numbers), words);
  }

  private static void refused(String header, String words) {
    refused(file(header, NUMBERS), words);
  }

  private static void refused(final ByteBuffer file, String words) {
    new Attempt() {
      @Override
      public void run() throws Exception {
        new TestVectors(file, 9);
      }
    }.assertThrowsWith(BundleException.class, "vectors.safetensors", words, "make the bundle anew");
  }

  private static ByteBuffer file(String header, int[] numbers) {
    byte[] text = header.replace('\'', '"').getBytes(StandardCharsets.UTF_8);
    int padded = (text.length + 7) / 8 * 8;
    ByteBuffer file = ByteBuffer.allocate(8 + padded + 4 * numbers.length).order(ByteOrder.LITTLE_ENDIAN);
    file.putLong(padded).put(text);
    while (file.position() < 8 + padded) {
      file.put((byte) ' ');
    }
    for (int number : numbers) {
      file.putInt(number);
    }
    file.flip();
    return file;
  }
}
