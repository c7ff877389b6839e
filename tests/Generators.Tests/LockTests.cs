using MicroVm.Generators.Registers.Model;
using MicroVm.Generators.Registers.Parse;

namespace MicroVm.Generators.Tests;

/// <summary>devices.def/snapshot.lock says what the definitions say.</summary>
public sealed class LockTests
{
    private const string File = "devices.def/snapshot.lock";

    [Fact]
    public void Lock_is_current()
    {
        SnapshotLock? old = System.IO.File.Exists(Repository.Full(File)) ? LockFile.Parse(File, Repository.Text(File), default) : null;
        IEnumerable<SnapshotSummary> snapshots = Repository.Definitions
            .SelectMany(static f => DefinitionParser.Parse(f, f, Repository.Text(f), default).Summary.Snapshots);
        Repository.Baseline(File, LockFile.Write(snapshots, old));
    }

    [Fact]
    public void Lock_reads_what_it_wrote()
    {
        var now = new SnapshotSummary("B", "b-1", 3, default, new([new(0x10, "A", 4, 1, default), new(0x14, "Q", 8, 0, default), new(0x1000_0010, "M", 2, 24, default)]));
        string text = LockFile.Write([now], null).Replace("u16[24]", "u16[24] retired", StringComparison.Ordinal);
        SnapshotLock read = LockFile.Parse(File, text, default);
        Assert.Empty(read.Diagnostics);
        LockedBlock block = Assert.Single(read.Blocks);
        Assert.Equal(("b-1", 3), (block.Tag, block.Version));
        Assert.Equal([new(0x10, "A", 4, 1, false), new(0x14, "Q", 8, 0, false), new(0x1000_0010, "M", 2, 24, true)], block.Tags);
        Assert.Contains("0x10000010 M u16[24] retired", LockFile.Write([now with { Tags = new([]) }], read), StringComparison.Ordinal);
    }
}
