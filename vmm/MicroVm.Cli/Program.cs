using System.Runtime.ExceptionServices;
using MicroVm.Diagnostics;
using MicroVm.Kvm;

namespace MicroVm.Cli;

internal static class Program
{
    private static int Main(string[] args)
    {
        Timeline.Mark("main");
        HostProcess.FillStandardDescriptors();
        HostDescriptors.RaiseLimit();
        ExceptionHandling.SetUnhandledExceptionHandler(Failure.Die);
        try
        {
            QuietHandler.SurviveFailedWrites();
            return Commands.Dispatch(args);
        }
        catch (Exception e)
        {
            Terminal.Restore();
            return Failure.Report(e);
        }
        finally
        {
            Terminal.Restore();
        }
    }
}
