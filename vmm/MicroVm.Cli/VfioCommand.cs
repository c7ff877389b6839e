using System.Text;
using MicroVm.Cli.Arguments;
using MicroVm.Diagnostics;
using MicroVm.Vfio;

namespace MicroVm.Cli;

/// <summary><c>microvm vfio bind|unbind|list</c>: takes devices from the host's drivers for guests, and gives them back.</summary>
internal static class VfioCommand
{
    private const int JsonVersion = 1;
    private static readonly string[] Actions = ["bind", "unbind", "list"];

    internal static int Execute(string[] args)
    {
        VfioSettings settings = new();
        if (args.Length < 2 || args[1] is "--help" or "-h")
        {
            if (args.Length < 2) throw MicroVmException.Usage("nothing to do", "microvm vfio", "Try 'microvm vfio list' or 'microvm vfio --help'");
            return Help();
        }
        string action = args[1];
        if (Array.IndexOf(Actions, action) < 0)
        {
            string? near = Suggestion.For(action, Actions);
            throw MicroVmException.Usage("unknown action", $"vfio {action}", near is null ? "Give bind, unbind or list" : $"Did you mean 'microvm vfio {near}'?");
        }
        bool wantsAddress = action != "list";
        string? address = wantsAddress && args.Length > 2 && !args[2].StartsWith("--", StringComparison.Ordinal) ? args[2] : null;
        if (!VfioOptions.Parse(args, address is null ? 2 : 3, settings)) return Help();
        HostPci pci = new("");
        if (!wantsAddress) return List(pci, settings.Json);
        if (address is null) throw MicroVmException.Usage("no device was named", $"microvm vfio {action}", "Give its address: 0000:00:03.0; 'microvm vfio list' shows them");
        return Move(pci, pci.Find(address), bind: action == "bind", settings.DryRun);
    }

    private static int Move(HostPci pci, HostFunction function, bool bind, bool dryRun)
    {
        VfioBinding binding = new(pci, new HostMounts(""));
        IReadOnlyList<SysfsWrite> plan = bind ? binding.PlanBind(function) : VfioBinding.PlanUnbind(function);
        if (dryRun)
        {
            Output.Out(plan.Count == 0 ? $"# nothing to do: {function.Address} is bound to {function.Driver}\n" : string.Concat(plan.Select(static w => w + "\n")));
            return ExitCodes.Success;
        }
        HostFunction after = plan.Count == 0 ? function : binding.Apply(function, plan);
        if (bind) VfioBinding.CheckBound(after);
        Output.Out($"{after.Address} {after.Vendor:x4}:{after.Device:x4} {(after.Driver is null ? "has no driver" : $"is bound to {after.Driver}")}, group {after.Group?.ToString() ?? "none"}\n");
        return ExitCodes.Success;
    }

    private static int List(HostPci pci, bool json)
    {
        IReadOnlyList<HostFunction> all = pci.All();
        if (json) Output.Out(Encoding.UTF8.GetString(JsonText.Of(Json(all), indented: true)));
        else Output.Out(Table(all));
        return ExitCodes.Success;
    }

    /// <summary>A line for each function.</summary>
    internal static string Table(IReadOnlyList<HostFunction> all)
    {
        StringBuilder text = new();
        text.Append($"{"address",-14}{"group",-7}{"id",-11}{"class",-8}{"driver",-14}{"iommu",-8}cdev\n");
        foreach (HostFunction f in all)
        {
            text.Append($"{f.Address,-14}{f.Group?.ToString() ?? "-",-7}{$"{f.Vendor:x4}:{f.Device:x4}",-11}{f.Class,-8:x6}{f.Driver ?? "-",-14}{f.Iommu ?? "-",-8}{Path.GetFileName(f.Cdev) ?? "-"}\n");
        }
        return text.ToString();
    }

    private static JsonMap Json(IReadOnlyList<HostFunction> all) => new()
    {
        ["version"] = JsonVersion,
        ["functions"] = new JsonList(all.Select(static f => new JsonMap
        {
            ["address"] = f.Address,
            ["vendor"] = $"{f.Vendor:x4}",
            ["device"] = $"{f.Device:x4}",
            ["class"] = $"{f.Class:x6}",
            ["driver"] = f.Driver,
            ["group"] = f.Group,
            ["iommu"] = f.Iommu,
            ["cdev"] = f.Cdev,
        })),
    };

    private static int Help()
    {
        Output.Out(HelpText.Vfio());
        return ExitCodes.Success;
    }
}
