using MicroVm.Generators.Common;
using MicroVm.Generators.Registers.Model;
using MicroVm.Generators.Registers.Parse;
using MicroVm.Generators.Registers.Syntax;
using static MicroVm.Generators.Registers.Checks.FileChecks;

namespace MicroVm.Generators.Registers.Checks;

/// <summary>MVG030 and 031: tags outlive code.</summary>
internal static class SnapshotChecks
{
    public static void Run(EquatableArray<FileSummary> files, SnapshotLock? locked, List<DiagnosticInfo> found)
    {
        var byTag = new Dictionary<string, SnapshotSummary>(StringComparer.Ordinal);
        foreach (FileSummary file in files)
        {
            var diagnostics = new DiagnosticBag(file.Path);
            foreach (SnapshotSummary s in file.Snapshots)
            {
                if (byTag.TryGetValue(s.Tag, out SnapshotSummary? first)) diagnostics.Add("MVG006", s.Pos, s.Tag, "a snapshot of '" + s.Block + "'", "block '" + first.Block + "'");
                else byTag.Add(s.Tag, s);
                LockedBlock? shipped = locked?.Blocks.FirstOrDefault(b => b.Tag == s.Tag);
                if (shipped is not null) Compare(s, shipped, diagnostics);
            }
            found.AddRange(diagnostics.ToArray());
        }
        if (locked is null) return;
        found.AddRange(locked.Diagnostics);
        var removed = new DiagnosticBag(locked.Path);
        foreach (LockedBlock b in locked.Blocks)
        {
            if (byTag.ContainsKey(b.Tag) || b.Tags.All(static t => t.Retired)) continue;
            removed.Add("MVG030", b.Pos, "'" + b.Tag + "' was shipped", "but no block has that snapshot", "bring the block back, or mark all its tags 'retired' here");
        }
        found.AddRange(removed.ToArray());
    }

    private static void Compare(SnapshotSummary now, LockedBlock shipped, DiagnosticBag diagnostics)
    {
        foreach (LockedTag was in shipped.Tags)
        {
            TagSummary? found = now.Tags.FirstOrDefault(t => t.Tag == was.Tag);
            string before = "tag " + Hex(was.Tag) + " of '" + now.Tag + "' is '" + was.Name + "' " + LockFile.Type(was.Width, was.Elements);
            if (found is null)
            {
                if (!was.Retired) diagnostics.Add("MVG030", now.Pos, before, "but block '" + now.Block + "' does not store it", "bring '" + was.Name + "' back, or mark the tag 'retired' there");
            }
            else if (was.Retired) diagnostics.Add("MVG030", found.Pos, before + " and retired", "but '" + found.Name + "' uses the tag again", "give '" + found.Name + "' another offset");
            else if (found.Name != was.Name || found.Width != was.Width)
            {
                string fix = found.Width == was.Width ? "restore the name, or rename it there too if it still means the same" : "restore the type, or give the register another offset";
                diagnostics.Add("MVG030", found.Pos, before, "but now '" + found.Name + "' " + LockFile.Type(found.Width, found.Elements), fix);
            }
        }
        if (now.Version < shipped.Version) Raise(now, shipped, "version " + LayoutChecks.Number(now.Version) + " is older", diagnostics);
        else if (now.Version == shipped.Version && Change(now, shipped) is { } change) Raise(now, shipped, change, diagnostics);
    }

    private static string? Change(SnapshotSummary now, LockedBlock shipped)
    {
        foreach (TagSummary t in now.Tags)
        {
            LockedTag? was = shipped.Tags.FirstOrDefault(x => x.Tag == t.Tag);
            if (was is null) return "tag " + Hex(t.Tag) + " '" + t.Name + "' is new";
            if (was.Elements != t.Elements) return "'" + t.Name + "' was " + LockFile.Type(was.Width, was.Elements) + " and is " + LockFile.Type(t.Width, t.Elements);
        }
        return null;
    }

    private static void Raise(SnapshotSummary now, LockedBlock shipped, string what, DiagnosticBag diagnostics)
    {
        string fix = "raise the version to " + LayoutChecks.Number(shipped.Version + 1) + " and rewrite the lock";
        diagnostics.Add("MVG031", now.Pos, now.Tag, LayoutChecks.Number(shipped.Version), what, fix);
    }
}
