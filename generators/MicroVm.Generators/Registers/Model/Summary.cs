using MicroVm.Generators.Common;
using MicroVm.Generators.Registers.Syntax;

namespace MicroVm.Generators.Registers.Model;

/// <summary>A declaration as other files see it.</summary>
internal sealed record DeclarationSummary(string Kind, Name Name, int Size, bool Resident, Name? Shares);

/// <summary>One entry that a block's snapshot holds. <see cref="Elements"/> is 1 for a plain register and 0 for a bank, whose length is not known here.</summary>
internal sealed record TagSummary(uint Tag, string Name, int Width, int Elements, Pos Pos);

/// <summary>A block's snapshot as the lock file sees it.</summary>
internal sealed record SnapshotSummary(string Block, string Tag, int Version, Pos Pos, EquatableArray<TagSummary> Tags);

/// <summary>Names of a virtio device: its queues in order, its features with their bits. No positions.</summary>
internal sealed record DeviceNames(string Name, uint Id, EquatableArray<string> Queues, EquatableArray<FeatureName> Features);

internal sealed record FeatureName(int Bit, string Name);

/// <summary>What the checks across files need to know of one file, and nothing more: an edit that leaves it alone re-emits no other file.</summary>
internal sealed record FileSummary(
    string Path, string File, EquatableArray<DeclarationSummary> Declarations, EquatableArray<SnapshotSummary> Snapshots,
    EquatableArray<MachineModel> Machines, EquatableArray<DeviceNames> Devices);

/// <summary>The result of reading one file.</summary>
internal sealed record ParsedFile(FileModel Model, FileSummary Summary, EquatableArray<DiagnosticInfo> Diagnostics);

internal sealed record BlockSize(string Name, int Size);

internal sealed record PlacedMachine(MachineModel Machine, string File);

/// <summary>What the list of blocks and the maps are made from: no positions but the machine's own, so that an edit to a block re-emits neither.</summary>
internal sealed record Together(EquatableArray<BlockSize> Blocks, EquatableArray<PlacedMachine> Machines, EquatableArray<DeviceNames> Devices)
{
    public static Together Of(EquatableArray<FileSummary> files)
    {
        IEnumerable<BlockSize> blocks = files.SelectMany(static f => f.Declarations).Where(static d => d.Kind == "block").Select(static d => new BlockSize(d.Name.Text, d.Size));
        IEnumerable<PlacedMachine> machines = files.SelectMany(static f => f.Machines.Select(m => new PlacedMachine(m, f.File)));
        IEnumerable<DeviceNames> devices = files.SelectMany(static f => f.Devices).OrderBy(static d => d.Id).ThenBy(static d => d.Name, StringComparer.Ordinal);
        return new Together(new([.. blocks]), new([.. machines]), new([.. devices]));
    }
}
