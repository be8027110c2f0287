package io.chordkit.demo;

import android.app.Activity;
import android.os.Build;
import android.os.Bundle;
import android.view.View;
import android.view.ViewGroup;
import android.widget.AdapterView;
import android.widget.ArrayAdapter;
import android.widget.Button;
import android.widget.ProgressBar;
import android.widget.RadioGroup;
import android.widget.Spinner;
import android.widget.TextView;
import io.chordkit.SelfCheck;
import io.chordkit.annotation.Nullable;
import io.chordkit.demo.logic.DemoUser;
import io.chordkit.demo.logic.DemoUsers;
import io.chordkit.demo.logic.Lists;
import java.util.ArrayList;
import java.util.List;

/** Picks a person and shows what this device makes of the person's candidates, and how fast. */
public final class MainActivity extends Activity implements DemoWork.Screen {
  private static final String ALL_SHOWN = "all_shown";
  private static final int FIRST = 15;
  private static final int RECENT = 10;

  private DemoWork work;
  private Texts texts;
  private Rows rows;
  private boolean allShown;
  @Nullable private DemoUsers spinnerOf;
  @Nullable private Lists drawn;
  private boolean allDrawn;

  @Override
  protected void onCreate(@Nullable Bundle state) {
    super.onCreate(state);
    setContentView(R.layout.activity_main);
    texts = new Texts(getResources());
    rows = new Rows(getLayoutInflater(), texts);
    allShown = state != null && state.getBoolean(ALL_SHOWN);
    listen();
    work = application().work();
    work.attach(this);
    refresh();
  }

  @Override
  protected void onSaveInstanceState(Bundle state) {
    super.onSaveInstanceState(state);
    state.putBoolean(ALL_SHOWN, allShown);
  }

  @Override
  protected void onDestroy() {
    work.detach(this);
    if (isFinishing()) {
      application().closeWork();
    }
    super.onDestroy();
  }

  private DemoApplication application() {
    return (DemoApplication) getApplication();
  }

  private void listen() {
    button(R.id.show_all)
        .setOnClickListener(
            new View.OnClickListener() {
              @Override
              public void onClick(View view) {
                allShown = !allShown;
                refresh();
              }
            });
    listen(R.id.learn, DemoWork.Change.LEARN);
    listen(R.id.undo, DemoWork.Change.UNDO);
    listen(R.id.unlearn, DemoWork.Change.UNLEARN);
    button(R.id.measure)
        .setOnClickListener(
            new View.OnClickListener() {
              @Override
              public void onClick(View view) {
                if (isMeasuring()) {
                  work.stop();
                } else {
                  work.measure();
                }
              }
            });
    button(R.id.check)
        .setOnClickListener(
            new View.OnClickListener() {
              @Override
              public void onClick(View view) {
                work.check();
              }
            });
    ((RadioGroup) findViewById(R.id.which_list))
        .setOnCheckedChangeListener(
            new RadioGroup.OnCheckedChangeListener() {
              @Override
              public void onCheckedChanged(RadioGroup group, int checked) {
                showColumns();
              }
            });
    ((Spinner) findViewById(R.id.person))
        .setOnItemSelectedListener(
            new AdapterView.OnItemSelectedListener() {
              @Override
              public void onItemSelected(AdapterView<?> parent, View view, int position, long id) {
                pick(position);
              }

              @Override
              public void onNothingSelected(AdapterView<?> parent) {}
            });
  }

  private void listen(int id, final DemoWork.Change change) {
    button(id)
        .setOnClickListener(
            new View.OnClickListener() {
              @Override
              public void onClick(View view) {
                work.change(change);
              }
            });
  }

  /** Also called by the spinner itself whenever a screen is made. */
  private void pick(int position) {
    DemoUsers people = work.people;
    if (people == null || position >= people.users.size()) {
      return;
    }
    DemoUser user = people.users.get(position);
    if (work.picked != user) {
      work.pick(user);
    }
  }

  @Override
  public void refresh() {
    say(R.id.problem, work.problem);
    showPeople();
    showLists();
    showLearned();
    showSpeed();
    showCheck();
    showDevice();
  }

  private void showPeople() {
    DemoUsers people = work.people;
    if (people == null || people == spinnerOf) {
      return;
    }
    spinnerOf = people;
    text(R.id.data_set).setText(texts.of(R.string.data_set, people.data));
    List<String> names = new ArrayList<String>();
    for (DemoUser user : people.users) {
      names.add(user.name);
    }
    ArrayAdapter<String> adapter = new ArrayAdapter<String>(this, android.R.layout.simple_spinner_item, names);
    adapter.setDropDownViewResource(android.R.layout.simple_spinner_dropdown_item);
    Spinner spinner = (Spinner) findViewById(R.id.person);
    spinner.setAdapter(adapter);
    int picked = people.users.indexOf(work.picked);
    if (picked >= 0) {
      spinner.setSelection(picked);
    }
  }

  private void showLists() {
    Lists lists = work.lists;
    showColumns();
    if (lists == null) {
      return;
    }
    if (lists != drawn) {
      rows.recent(group(R.id.recent_items), lists.items, lists.user.history, RECENT);
      text(R.id.lists_summary).setText(texts.summary(lists));
      showStrategy(lists);
    }
    if (lists != drawn || allShown != allDrawn) {
      int count = lists.comparison.personal.size();
      rows.ranked(group(R.id.personal_list), lists.items, lists.comparison.personal, allShown ? count : FIRST);
      rows.ranked(group(R.id.shared_list), lists.items, lists.comparison.shared, allShown ? count : FIRST);
      button(R.id.show_all).setText(allShown ? texts.of(R.string.show_fewer) : texts.counted(R.plurals.show_all, count));
    }
    drawn = lists;
    allDrawn = allShown;
  }

  private void showLearned() {
    Lists lists = work.lists;
    boolean idle = lists != null && work.doing == DemoWork.Doing.NOTHING;
    boolean inUse = lists != null && lists.learned.inUse;
    button(R.id.learn).setEnabled(idle);
    button(R.id.undo).setEnabled(idle && inUse);
    button(R.id.unlearn).setEnabled(idle && inUse);
    ViewGroup facts = group(R.id.learned_facts);
    facts.removeAllViews();
    if (work.doing == DemoWork.Doing.LEARNING) {
      say(R.id.learned_summary, texts.of(R.string.learning));
    } else {
      say(R.id.learned_summary, lists == null ? null : texts.of(Texts.summary(lists.learned)));
      if (lists != null) {
        rows.learned(facts, lists.learned);
      }
    }
  }

  private void showStrategy(Lists lists) {
    String own = texts.numbers.decimal(lists.personal.picture.averageBits(), 2);
    String shared = texts.numbers.decimal(lists.shared.picture.averageBits(), 2);
    text(R.id.strategy_summary).setText(texts.of(R.string.strategy_summary, own, shared));
    rows.legend(group(R.id.legend), lists.personal.picture);
    rows.layers(group(R.id.layers), lists.personal.picture);
    ViewGroup travelled = group(R.id.travelled_facts);
    travelled.removeAllViews();
    rows.fact(travelled, R.string.strategy_bytes, texts.counted(R.plurals.bytes, lists.personal.strategyBytes));
    rows.fact(travelled, R.string.envelope_bytes, texts.counted(R.plurals.bytes, lists.personal.envelopeBytes));
    rows.time(travelled, R.string.adoption_engine, lists.personal.engine.percentile(50));
    rows.time(travelled, R.string.adoption_whole, lists.personal.whole);
  }

  private void showColumns() {
    boolean both = getResources().getBoolean(R.bool.side_by_side);
    boolean shared = ((RadioGroup) findViewById(R.id.which_list)).getCheckedRadioButtonId() == R.id.which_shared;
    Rows.show(findViewById(R.id.personal_column), work.lists != null && (both || !shared));
    Rows.show(findViewById(R.id.shared_column), work.lists != null && (both || shared));
    Rows.show(button(R.id.show_all), work.lists != null && work.lists.comparison.personal.size() > FIRST);
  }

  private void showSpeed() {
    int calls = DemoWork.CALLS;
    text(R.id.speed_explained).setText(texts.of(R.string.speed_explained, texts.numbers.whole(calls)));
    button(R.id.measure).setText(isMeasuring() ? texts.of(R.string.measure_stop) : texts.counted(R.plurals.measure, calls));
    button(R.id.measure).setEnabled(work.lists != null && (isMeasuring() || work.doing == DemoWork.Doing.NOTHING));
    Rows.show(findViewById(R.id.measure_progress), isMeasuring());
    say(R.id.speed_status, speedStatus());
    ViewGroup facts = group(R.id.speed_facts);
    facts.removeAllViews();
    if (work.warm != null && work.cold != null && !isMeasuring()) {
      rows.fact(facts, texts.of(R.string.warm), texts.percentiles(work.warm), texts.percentilesSaid(work.warm));
      rows.fact(facts, texts.of(R.string.cold), texts.percentiles(work.cold), texts.percentilesSaid(work.cold));
    }
  }

  @Nullable
  private String speedStatus() {
    switch (work.doing) {
      case WARM:
        return texts.of(R.string.measuring_warm);
      case COLD:
        return texts.of(R.string.measuring_cold);
      default:
        if (work.cold == null) {
          return null;
        }
        return work.thermalBefore == Device.UNKNOWN
            ? texts.of(R.string.measured)
            : texts.of(R.string.measured_thermal, texts.thermal(work.thermalBefore), texts.thermal(work.thermalAfter));
    }
  }

  /** The bar alone: whatever else is on the screen stays as it is, so that a screen reader keeps its place. */
  @Override
  public void progress() {
    ProgressBar bar = (ProgressBar) findViewById(R.id.measure_progress);
    bar.setMax(DemoWork.CALLS);
    bar.setProgress(work.done);
  }

  private boolean isMeasuring() {
    return work.doing == DemoWork.Doing.WARM || work.doing == DemoWork.Doing.COLD;
  }

  private void showCheck() {
    SelfCheck check = work.check;
    button(R.id.check).setEnabled(work.lists != null && work.doing == DemoWork.Doing.NOTHING);
    String summary = work.doing == DemoWork.Doing.CHECKING ? texts.of(R.string.checking) : null;
    ViewGroup facts = group(R.id.check_facts);
    facts.removeAllViews();
    if (check != null && summary == null) {
      summary = texts.of(check.passed() ? R.string.check_right : R.string.check_wrong);
      for (SelfCheck.Result result : check.results()) {
        rows.fact(facts, result.reference(), texts.checked(result));
      }
    }
    say(R.id.check_summary, summary);
  }

  private void showDevice() {
    ViewGroup facts = group(R.id.device_facts);
    facts.removeAllViews();
    rows.fact(facts, R.string.device_model, Device.model());
    String sdk = texts.numbers.whole(Build.VERSION.SDK_INT);
    rows.fact(facts, R.string.device_android, texts.of(R.string.device_android_value, Build.VERSION.RELEASE, sdk));
    rows.fact(facts, R.string.device_processor, Device.abi());
    rows.fact(facts, R.string.device_thermal, texts.thermal(Device.thermalStatus(this)));
    Lists lists = work.lists;
    if (lists != null) {
      rows.fact(facts, R.string.device_kernels, lists.variant);
      rows.fact(facts, R.string.device_bundle, texts.numbers.whole(lists.bundleCounter));
      rows.fact(facts, R.string.device_channels, texts.numbers.whole(lists.channels));
      for (String remark : lists.remarks) {
        rows.fact(facts, R.string.remark, remark);
      }
    }
  }

  /** Null = nothing to say. A live region speaks when its words change, and only then. */
  private void say(int id, @Nullable String words) {
    TextView view = text(id);
    if (words != null && !words.contentEquals(view.getText())) {
      view.setText(words);
    }
    Rows.show(view, words != null);
  }

  private Button button(int id) {
    return (Button) findViewById(id);
  }

  private TextView text(int id) {
    return (TextView) findViewById(id);
  }

  private ViewGroup group(int id) {
    return (ViewGroup) findViewById(id);
  }
}
