// Log lines with a search and a least level. It stays at the end unless somebody has scrolled up.
const RANK = { debug: 0, info: 1, warn: 2, error: 3, event: 4 };
const MOST = 1000;

export default {
  template: `
    <div class="np-log">
      <div class="np-log-tools">
        <q-input v-model="search" outlined dense clearable label="Search" type="search" class="np-grow"/>
        <q-select v-model="level" :options="levels" outlined dense emit-value map-options label="Level" class="np-level"/>
        <q-btn flat dense no-caps icon="download" label="Save" @click="save" aria-label="Save these lines as a file"/>
      </div>
      <div ref="pane" class="np-log-pane" role="log" aria-label="Log lines" tabindex="0" @scroll="scrolled">
        <div v-for="line in shown" :key="line.n" class="np-line" :class="'np-line-' + line.level">
          <time v-if="line.time">{{ line.time.slice(11) }}</time><b>{{ line.level }}</b><span>{{ line.text }}</span>
        </div>
        <p v-if="!shown.length" class="np-soft">{{ lines.length ? "No line matches." : "Nothing has been logged yet." }}</p>
      </div>
      <p class="np-soft np-log-count" role="status">{{ shown.length }} of {{ lines.length }} lines</p>
    </div>`,
  props: { first: Array },
  data() {
    return {
      lines: this.first,
      search: "",
      level: "debug",
      follows: true,
      levels: Object.keys(RANK).map((value) => ({ value, label: value === "debug" ? "all" : value === "event" ? "event" : value + " and above" })),
    };
  },
  computed: {
    shown() {
      const wanted = (this.search || "").toLowerCase();
      return this.lines.filter((line) => RANK[line.level] >= RANK[this.level] && line.text.toLowerCase().includes(wanted));
    },
  },
  watch: {
    shown() {
      if (this.follows) this.$nextTick(this.toEnd);
    },
  },
  mounted() {
    this.$nextTick(this.toEnd);
  },
  methods: {
    append(lines) {
      this.lines = [...this.lines, ...lines].slice(-MOST);
    },
    toEnd() {
      if (this.$refs.pane) this.$refs.pane.scrollTop = this.$refs.pane.scrollHeight;
    },
    scrolled() {
      const pane = this.$refs.pane;
      this.follows = pane.scrollTop + pane.clientHeight >= pane.scrollHeight - 8;
    },
    save() {
      const text = this.shown.map((line) => `${line.time}  ${line.level.toUpperCase()}  ${line.text}\n`).join("");
      const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(new Blob([text])), download: "nodepass.log" });
      link.click();
      URL.revokeObjectURL(link.href);
    },
  },
};
