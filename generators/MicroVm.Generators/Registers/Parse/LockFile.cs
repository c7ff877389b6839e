using MicroVm.Generators.Common;
using System.Text;
using MicroVm.Generators.Registers.Emit;
using MicroVm.Generators.Registers.Model;
using MicroVm.Generators.Registers.Syntax;

namespace MicroVm.Generators.Registers.Parse;

/// <summary>Reads and writes <c>snapshot.lock</c>: <c>snapshot "tag" VERSION</c> with rows <c>TAG Name TYPE [retired]</c>,
/// where TYPE is u32, u32[24] for an array and u32[] for a bank.</summary>
internal static class LockFile
{
    public static SnapshotLock Parse(string path, string text, CancellationToken cancel)
    {
        var diagnostics = new DiagnosticBag(path);
        var blocks = new List<LockedBlock>();
        foreach (SourceLine line in LineTree.Read(text, diagnostics, cancel))
        {
            var cursor = new Cursor(line, diagnostics);
            Pos pos = cursor.Current.Pos;
            if (!cursor.Expect("snapshot") || !cursor.Text("the snapshot's tag in quotes", out Token tag)) continue;
            if (!cursor.Small("the snapshot's version", out int version) || !cursor.End()) continue;
            var tags = new List<LockedTag>();
            foreach (SourceLine child in line.Children)
            {
                if (Row(new Cursor(child, diagnostics)) is { } row) tags.Add(row);
            }
            blocks.Add(new LockedBlock(tag.Text, version, pos, tags.ToEquatable()));
        }
        return new SnapshotLock(path, blocks.ToEquatable(), diagnostics.ToArray());
    }

    private static LockedTag? Row(Cursor cursor)
    {
        if (!cursor.Small("a tag", out int tag) || !cursor.Name("the register's name", out Name name)) return null;
        if (!RegisterParser.Type(cursor, "u8, u16, u32 or u64", out int width)) return null;
        int elements = 1;
        if (cursor.Accept("["))
        {
            elements = 0;
            if (!cursor.Current.Is("]") && !cursor.Small("the number of elements", out elements)) return null;
            if (!cursor.Expect("]")) return null;
        }
        bool retired = cursor.Accept("retired");
        return cursor.End() ? new LockedTag((uint)tag, name.Text, width, elements, retired) : null;
    }

    /// <summary>The lock of the current definitions; what <paramref name="old"/> says is retired stays.</summary>
    public static string Write(IEnumerable<SnapshotSummary> snapshots, SnapshotLock? old)
    {
        var text = new StringBuilder("# Every snapshot tag that was ever shipped: the generator checks against it (MVG030, MVG031).\n");
        text.Append("# Rewritten with the other baselines by MICROVM_UPDATE_BASELINES=1; a row marked 'retired' stays.\n");
        foreach (SnapshotSummary s in snapshots.OrderBy(static s => s.Tag, StringComparer.Ordinal))
        {
            text.Append("\nsnapshot \"").Append(s.Tag).Append("\" ").Append(CodeWriter.Number(s.Version)).Append('\n');
            IEnumerable<LockedTag> rows = s.Tags.Select(static t => new LockedTag(t.Tag, t.Name, t.Width, t.Elements, false));
            IEnumerable<LockedTag> retired = old?.Blocks.Where(b => b.Tag == s.Tag).SelectMany(static b => b.Tags).Where(static t => t.Retired) ?? [];
            foreach (LockedTag t in rows.Concat(retired).OrderBy(static t => t.Tag))
            {
                text.Append("  ").Append(CodeWriter.Hex(t.Tag)).Append(' ').Append(t.Name).Append(' ').Append(Type(t.Width, t.Elements));
                text.Append(t.Retired ? " retired\n" : "\n");
            }
        }
        return text.ToString();
    }

    public static string Type(int width, int elements) =>
        "u" + CodeWriter.Number(8 * width) + (elements switch { 1 => "", 0 => "[]", _ => "[" + CodeWriter.Number(elements) + "]" });
}
