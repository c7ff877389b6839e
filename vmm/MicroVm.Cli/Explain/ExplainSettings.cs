using MicroVm.Cli.Arguments;
using MicroVm.Cli.Control;

namespace MicroVm.Cli.Explain;

/// <summary>What the flags of <c>microvm explain</c> said, those of <c>run</c> apart.</summary>
internal sealed class ExplainSettings
{
    /// <summary>The only section to print, or null.</summary>
    internal string? Section { get; set; }

    internal bool Json { get; set; }
    internal string? Html { get; set; }
    internal string? Space { get; set; }
    internal ulong Address { get; set; }
    internal int Cpu { get; set; }

    internal ExplainRequest Request => new(Space, Address, Cpu);

    /// <summary>The flags.</summary>
    internal static readonly Option<ExplainSettings>[] Options =
    [
        new("gva", "ADDRESS", "The way of a guest virtual address: each entry of the page tables, guest\nphysical, host virtual and host physical address.", static (s, v) => s.Walk("gva", v)) { Heading = "Instead of the whole picture" },
        new("cpu", "N", "With --gva: the vCPU whose page tables count.", static (s, v) => s.Cpu = ExplainRequest.Vcpu(v.Text)) { Default = "0" },
        new("gpa", "ADDRESS", "The way of a guest physical address.", static (s, v) => s.Walk("gpa", v)),
        new("iova", "ADDRESS", "The way of an assigned device's address, and all that is in the IOMMU.", static (s, v) => s.Walk("iova", v)),
        new("aml", null, "The disassembled DSDT, with the line in acpi.def/ of each object. It takes\niasl (Debian: acpica-tools).", static (s, v) => s.Choose(ExplainRequest.AmlTables, 0, v)),

        new("json", null, "As JSON.", static (s, _) => s.Json = true) { Heading = "Output" },
        new("html", "FILE", "As one page with the picture.", static (s, v) => s.Html = v.Text.Length > 0 ? v.Text : throw v.Bad("an empty value", "Give a path")),
    ];

    private void Walk(string space, OptionValue v) => Choose(space, ExplainRequest.Number(v.Text), v);

    private void Choose(string space, ulong address, OptionValue v)
    {
        if (Space is not null) throw MicroVmException.Usage("two things to explain", v.Where, $"Leave it or --{Space} away");
        (Space, Address) = (space, address);
    }
}
