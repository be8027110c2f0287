import static org.junit.Assert.assertArrayEquals;
import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertTrue;
import static org.junit.Assert.fail;

import io.chordkit.ArtifactScorer;
import io.chordkit.ArtifactScorer.Shape;
import io.chordkit.Buffers;
import io.chordkit.ChordException;
import io.chordkit.PatchException;
import io.chordkit.executorch.ExecuTorchException;
import io.chordkit.executorch.ExecuTorchScorer;
import io.chordkit.litert.LiteRtException;
import io.chordkit.litert.LiteRtScorer;
import java.io.File;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.FloatBuffer;
import java.nio.file.Files;
import java.util.zip.CRC32;
import org.junit.Before;
import org.junit.Rule;
import org.junit.Test;
import org.junit.rules.TemporaryFolder;
import org.pytorch.executorch.Module;
import org.tensorflow.lite.Interpreter;

/** Both adapters over stand-ins of their runtimes. */
public final class AdaptersTest {
  private static final int ITEMS = 9;
  private static final int LENGTH = 4;
  private static final int BLOCK = 3;

  @Rule public final TemporaryFolder folder = new TemporaryFolder();

  @Before
  public void nothingIsOpen() {
    Interpreter.open = 0;
    Module.open = 0;
  }

  /** As a bundle gives an artifact: a part of a larger mapping that can only be read. */
  private static ByteBuffer artifact(int... numbers) {
    ByteBuffer file = ByteBuffer.allocateDirect(8 + 4 * numbers.length).order(ByteOrder.nativeOrder());
    file.position(8);
    for (int number : numbers) {
      file.putInt(number);
    }
    file.position(8);
    return file.asReadOnlyBuffer();
  }

  private static float[] scores(ArtifactScorer scorer) throws ChordException {
    FloatBuffer scores = Buffers.floatsOf(4);
    scorer.rerank(Buffers.ints(1, 2, 3, 4, 7), Buffers.ints(9, 1, 8, 2), scores);
    float[] found = new float[4];
    scores.get(found);
    return found;
  }

  private File copy() {
    return new File(folder.getRoot(), "artifact.pte");
  }

  private static Shape shape(int dim) {
    return new Shape(ITEMS, LENGTH, BLOCK, dim);
  }

  @Test
  public void liteRtScores() throws ChordException {
    LiteRtScorer scorer = LiteRtScorer.open(artifact(LENGTH, BLOCK, 0, 10), ITEMS, 2);
    assertArrayEquals(new float[] {97, 17, 87, 27}, scores(scorer), 0);
    assertEquals(2, Interpreter.threads);
    scorer.close();
    assertEquals(0, Interpreter.open);
  }

  @Test
  public void liteRtTakesAUserVector() throws ChordException {
    LiteRtScorer scorer = LiteRtScorer.open(artifact(LENGTH, BLOCK, 2, 10), ITEMS, 1);
    assertArrayEquals(new float[] {97, 17, 87, 27}, scores(scorer), 0);
    scorer.adoptUser(new float[] {1, 2});
    assertArrayEquals(new float[] {100, 20, 90, 30}, scores(scorer), 0);
  }

  private static ByteBuffer sealed(ByteBuffer data) {
    CRC32 crc = new CRC32();
    crc.update(data.array(), 0, data.position());
    data.putInt((int) crc.getValue());
    ByteBuffer direct = ByteBuffer.allocateDirect(data.position());
    direct.put(data.array(), 0, data.position());
    direct.flip();
    return direct;
  }

  /** A model whose factor is the one code, 100, of a layer of one channel; four bits make 6 of it, and two bits 1. */
  private static ByteBuffer masterFile() {
    ByteBuffer data = ByteBuffer.allocate(100).order(ByteOrder.LITTLE_ENDIAN);
    data.putInt(LENGTH).putInt(BLOCK).putInt(2).putInt(100).putFloat(0.25f);
    data.putInt('C' | 'H' << 8 | 'R' << 16 | 'T' << 24).putInt(1).putLong(7).putInt(20).putInt(1).putInt(1);
    data.putInt(12).putInt(1).putInt(1).putInt(1).putInt(16).putFloat(1);
    data.putFloat(1).putFloat(1).putShort((short) 400).putShort((short) 2000).putInt(72);
    return sealed(data);
  }

  private static byte[] strategy(int code) {
    ByteBuffer data = ByteBuffer.allocate(25).order(ByteOrder.LITTLE_ENDIAN);
    data.putInt('C' | 'H' << 8 | 'R' << 16 | 'D' << 24).putShort((short) 1).putShort((short) (code == 0 ? 1 : 0)).putLong(7).putInt(1);
    data.put((byte) code);
    byte[] wire = new byte[25];
    sealed(data).get(wire);
    return wire;
  }

  @Test
  public void liteRtTakesOneStrategyAfterTheOtherAndKeepsTheUserVector() throws ChordException {
    LiteRtScorer scorer = LiteRtScorer.open(masterFile(), ITEMS, 2);
    scorer.adoptUser(new float[] {1, 2});
    assertArrayEquals(new float[] {910, 110, 810, 210}, scores(scorer), 0);
    scorer.adopt(strategy(2));
    assertArrayEquals(new float[] {64, 16, 58, 22}, scores(scorer), 0);
    scorer.adopt(strategy(1));
    assertArrayEquals(new float[] {19, 11, 18, 12}, scores(scorer), 0);
    scorer.adopt(strategy(0));
    assertArrayEquals(new float[] {10, 10, 10, 10}, scores(scorer), 0);
    byte[] damaged = strategy(3);
    damaged[24] ^= 1;
    try {
      scorer.adopt(damaged);
      fail("adopted a damaged strategy");
    } catch (PatchException expected) {
      assertTrue(expected.getMessage(), expected.getMessage().startsWith("strategy: CRC: "));
    }
    assertArrayEquals(new float[] {10, 10, 10, 10}, scores(scorer), 0);
    assertEquals(1, Interpreter.open);
    scorer.adopt(null);
    assertArrayEquals(new float[] {910, 110, 810, 210}, scores(scorer), 0);
    assertEquals(2, Interpreter.threads);
    scorer.close();
    assertEquals(0, Interpreter.open);
    try {
      scorer.adopt(null);
      fail("adopted when closed");
    } catch (IllegalStateException expected) {
      assertEquals("the scorer is closed", expected.getMessage());
    }
  }

  @Test
  public void liteRtSaysThatAnArtifactIsOneUsers() throws ChordException {
    LiteRtScorer scorer = LiteRtScorer.open(artifact(LENGTH, BLOCK, 0, 10), ITEMS, 1);
    try {
      scorer.adopt(strategy(2));
      fail("adopted without a patch table");
    } catch (PatchException expected) {
      assertTrue(expected.getMessage(), expected.getMessage().startsWith("patch table: table: "));
    }
    assertArrayEquals(new float[] {97, 17, 87, 27}, scores(scorer), 0);
  }

  @Test
  public void liteRtSaysWhatItCannotRun() throws ChordException {
    try {
      LiteRtScorer.open(artifact(1, 2, 3), ITEMS, 1);
      fail("opened what is no model");
    } catch (LiteRtException expected) {
      assertEquals("artifact: LiteRT does not run this file: not a model", expected.getMessage());
    }
    try {
      LiteRtScorer.open(artifact(1, BLOCK, 0, 10), ITEMS, 1);
      fail("opened a model of another shape");
    } catch (LiteRtException expected) {
      assertTrue(expected.getMessage().endsWith("take one of a bundle: history has the shape [1]"));
      assertEquals(0, Interpreter.open);
    }
    try {
      scores(LiteRtScorer.open(artifact(LENGTH, BLOCK, 0, -1), ITEMS, 1));
      fail("a run that fails gave scores");
    } catch (LiteRtException expected) {
      assertTrue(expected.getMessage().startsWith("artifact: LiteRT did not run it: Internal error"));
    }
  }

  @Test
  public void execuTorchScores() throws ChordException, IOException {
    ExecuTorchScorer scorer = ExecuTorchScorer.open(artifact(LENGTH, BLOCK, 0, 10), copy(), shape(0));
    assertArrayEquals(new float[] {97, 17, 87, 27}, scores(scorer), 0);
    scorer.close();
    assertEquals(0, Module.open);
  }

  @Test
  public void execuTorchTakesAUserVectorBetweenHistoryAndCandidates() throws ChordException, IOException {
    ExecuTorchScorer scorer = ExecuTorchScorer.open(artifact(LENGTH, BLOCK, 2, 10), copy(), shape(2));
    scorer.adoptUser(new float[] {1, 2});
    assertArrayEquals(new float[] {100, 20, 90, 30}, scores(scorer), 0);
  }

  @Test
  public void execuTorchIsGivenTheMasterWhereItLies() throws ChordException, IOException {
    ByteBuffer bundle = ByteBuffer.allocateDirect(8);
    bundle.put(4, (byte) 100).position(4);
    ExecuTorchScorer scorer = ExecuTorchScorer.open(artifact(LENGTH, BLOCK, 0, 10), copy(), shape(0), bundle.asReadOnlyBuffer());
    assertArrayEquals(new float[] {197, 117, 187, 127}, scores(scorer), 0);
    bundle.put(4, (byte) 0);
    assertArrayEquals(new float[] {97, 17, 87, 27}, scores(scorer), 0);
  }

  @Test
  public void execuTorchsCopyIsWrittenOnceAndWrittenAnewWhenItDiffers() throws ChordException, IOException {
    ExecuTorchScorer.open(artifact(LENGTH, BLOCK, 0, 10), copy(), shape(0));
    assertTrue(copy().setLastModified(1000000));
    ExecuTorchScorer.open(artifact(LENGTH, BLOCK, 0, 10), copy(), shape(0));
    assertEquals(1000000, copy().lastModified());
    ExecuTorchScorer scorer = ExecuTorchScorer.open(artifact(LENGTH, BLOCK, 0, 100), copy(), shape(0));
    assertArrayEquals(new float[] {907, 107, 807, 207}, scores(scorer), 0);
    Files.write(copy().toPath(), new byte[3]);
    assertArrayEquals(new float[] {97, 17, 87, 27}, scores(ExecuTorchScorer.open(artifact(LENGTH, BLOCK, 0, 10), copy(), shape(0))), 0);
    assertEquals(1, folder.getRoot().list().length);
  }

  @Test
  public void execuTorchSaysWhatItCannotRun() throws ChordException, IOException {
    try {
      ExecuTorchScorer.open(artifact(1, 2), copy(), shape(0));
      fail("opened what is no program");
    } catch (ExecuTorchException expected) {
      assertEquals(copy() + ": ExecuTorch does not run this file: not a program", expected.getMessage());
    }
    try {
      scores(ExecuTorchScorer.open(artifact(LENGTH, BLOCK + 1, 0, 10), copy(), shape(0)));
      fail("took another number of scores");
    } catch (ExecuTorchException expected) {
      assertTrue(expected.getMessage().startsWith("artifact: ExecuTorch gave 4 scores for 3 candidates"));
    }
    try {
      scores(ExecuTorchScorer.open(artifact(LENGTH, BLOCK, 2, 10), copy(), shape(0)));
      fail("ran without the user vector that it takes");
    } catch (ExecuTorchException expected) {
      assertTrue(expected.getMessage().startsWith("artifact: ExecuTorch did not run it: Execution of method forward failed"));
    }
    try {
      ExecuTorchScorer.open(artifact(LENGTH, BLOCK, 0, 10), new File(folder.getRoot(), "none/artifact.pte"), shape(0));
      fail("wrote into a folder that is not there");
    } catch (IOException expected) {
      assertEquals(0, new File(folder.getRoot(), "none").list() == null ? 0 : 1);
    }
  }
}
