// The list of instances. What it shows comes as rows; what people do goes back as events: {id, action}.
export default {
  template: `
    <div class="np-list">
      <table v-if="rows.length" class="np-table" aria-label="Instances">
        <thead>
          <tr>
            <th scope="col">Instance</th><th scope="col">Way</th><th scope="col" class="np-right">Connections</th>
            <th scope="col">Traffic</th><th scope="col" class="np-right">Since the last reset</th>
            <th scope="col"><span class="np-unseen">Actions</span></th>
          </tr>
        </thead>
        <tbody>
          <tr v-for="row in rows" :key="row.id" :data-id="row.id" :class="'np-row-' + row.status">
            <td class="np-cell-name"><div>
              <span class="np-status" :class="'np-status-' + row.status"><i aria-hidden="true"></i>{{ row.status }}</span>
              <button type="button" class="np-name" @click="act(row, 'open')">{{ row.alias || row.id }}</button>
              <span class="np-kind">{{ row.type }}<template v-if="row.alias"> · {{ row.id }}</template></span>
              <span v-if="row.waits" class="np-waits">waits for a client</span>
              <span v-if="row.tags.length" class="np-tags"><span v-for="tag in row.tags" :key="tag" class="np-tag">{{ tag }}</span></span>
            </div></td>
            <td class="np-cell-way"><code>{{ row.tunnel }}</code><span class="np-arrow" aria-label="to">→</span><code v-for="target in row.targets" :key="target">{{ target }} </code></td>
            <td class="np-cell-connections np-right">
              <span class="np-figure">{{ row.tcp + row.udp }}</span>
              <span class="np-soft">{{ row.tcp }} TCP · {{ row.udp }} UDP<template v-if="row.ping"> · {{ row.ping }} ms</template></span>
            </td>
            <td class="np-cell-traffic">
              <svg class="np-spark" viewBox="0 0 120 28" preserveAspectRatio="none" role="img" aria-label="Traffic of the last minutes">
                <line x1="0" y1="26" x2="120" y2="26" class="np-spark-base"/>
                <path v-if="row.spark" :d="row.spark" class="np-spark-line" vector-effect="non-scaling-stroke"/>
              </svg>
              <span class="np-rates"><span><b class="np-in" aria-label="received">↓</b> {{ row.received }}</span><span><b class="np-out" aria-label="sent">↑</b> {{ row.sent }}</span></span>
            </td>
            <td class="np-cell-total np-right"><span>↓ {{ row.total_received }}</span><span>↑ {{ row.total_sent }}</span></td>
            <td class="np-cell-actions">
              <q-btn v-if="row.status === 'stopped'" flat round dense icon="play_arrow" :aria-label="'Start ' + name(row)" @click="act(row, 'start')"><q-tooltip>Start</q-tooltip></q-btn>
              <q-btn v-else flat round dense icon="stop" :aria-label="'Stop ' + name(row)" @click="act(row, 'stop')"><q-tooltip>Stop</q-tooltip></q-btn>
              <q-btn flat round dense icon="subject" :aria-label="'Logs of ' + name(row)" @click="act(row, 'logs')"><q-tooltip>Logs</q-tooltip></q-btn>
              <q-btn flat round dense icon="more_vert" :aria-label="'More about ' + name(row)" aria-haspopup="menu">
                <q-menu auto-close anchor="bottom right" self="top right" @show="step(row, 1)" @keydown.down.prevent="step(row, 1)" @keydown.up.prevent="step(row, -1)">
                  <q-list role="menu" class="np-menu" :data-menu="row.id">
                    <q-item v-for="item in items" :key="item.action" clickable role="menuitem" :class="item.look" @click="act(row, item.action)">
                      <q-item-section avatar><q-icon :name="item.icon" size="20px"/></q-item-section>
                      <q-item-section>{{ item.label }}</q-item-section>
                    </q-item>
                  </q-list>
                </q-menu>
              </q-btn>
            </td>
          </tr>
        </tbody>
      </table>
      <div v-else class="np-empty">
        <q-icon :name="searched ? 'search_off' : 'route'" size="40px"/>
        <p v-if="searched">No instance matches.</p>
        <p v-else>No instances yet. Create a server on a machine that others reach, and a client where the target is.</p>
      </div>
    </div>`,
  props: { rows: Array, searched: Boolean },
  data() {
    return {
      items: [
        { action: "restart", label: "Restart", icon: "restart_alt" },
        { action: "edit", label: "Edit", icon: "edit" },
        { action: "copy", label: "Edit a copy", icon: "content_copy" },
        { action: "reset", label: "Zero the counters", icon: "exposure_zero" },
        { action: "delete", label: "Delete …", icon: "delete", look: "np-danger" },
      ],
    };
  },
  methods: {
    name(row) {
      return row.alias || row.id;
    },
    // Focus the next entry of a menu, or the one before.
    step(row, by) {
      const entries = [...document.querySelectorAll(`[data-menu="${row.id}"] [role=menuitem]`)];
      const at = entries.indexOf(document.activeElement);
      entries[(Math.max(at, by < 0 ? 0 : -1) + by + entries.length) % entries.length].focus();
    },
    act(row, action) {
      this.$emit("action", { id: row.id, action });
    },
  },
};
